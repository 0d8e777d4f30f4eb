"""What weights by rule share: cross-entropy times a weight that carries no gradient."""

from abc import abstractmethod

import torch
from torch import Tensor

from methods.objective import Batch, Objective, Outputs, cross_entropy


def mean_one(weights: Tensor) -> Tensor:
    """Weights [B] scaled to mean 1: otherwise they would change the learning rate, too.

    All zero where nothing is positive.
    """
    total = weights.sum()
    return weights * (len(weights) / torch.where(total > 0, total, 1.0))


class WeightedByLoss(Objective):
    """w_i CE_i, with weights of mean 1 in a batch that are a function of the losses, detached."""

    @abstractmethod
    def weights(self, losses: Tensor, batch: Batch) -> Tensor:
        """Weights [B] >= 0, not yet scaled, of cross-entropies [B] without a graph; pure."""

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        losses = cross_entropy(outputs.logits, batch.y)
        return mean_one(self.weights(losses.detach(), batch)) * losses

"""Learning to reweight examples.

Ren, Zeng, Yang & Urtasun, "Learning to reweight examples for robust deep learning", ICML 2018.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from methods.objective import Batch, ModelCall, Objective, Outputs, cross_entropy, rectified


class LearningToReweight(Objective):
    """Cross-entropy with weights that are fresh at every step.

    w_i is proportional to max(0, -d clean / d w_i) at w = 0.
    The losses are B * w_i * CE_i, since the loop takes their mean and the weights of a batch sum to
    1.
    """

    fresh_each_step = True

    def before_step(self, batch: Batch, model: ModelCall) -> Batch:
        self.weights = torch.zeros(len(batch.y), device=batch.y.device, dtype=batch.y.dtype)
        self.weights.requires_grad_()
        return batch

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return len(batch.y) * self.weights * cross_entropy(outputs.logits, batch.y)

    def meta_parameters(self) -> Sequence[Tensor]:
        return [self.weights]

    def meta_step(self, grads: Sequence[Tensor], optimizer: torch.optim.Optimizer | None) -> None:
        self.weights = rectified(-grads[0].detach())

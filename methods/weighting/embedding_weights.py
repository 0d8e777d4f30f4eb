"""Metric-optimized example weights: a weight function that is searched, not learned.

Zhao, Fard, Narasimhan & Gupta, "Metric-optimized example weights", ICML 2019.
"""

import torch
from torch import Tensor, nn

from methods.memory import remember
from methods.objective import Batch, Objective, Outputs, PhaseInfo, PreviousPhase, cross_entropy
from methods.weighting.by_loss import mean_one

COMPONENTS = 3


class EmbeddingWeights(Objective):
    """w_i CE_i, with w_i proportional to sigmoid(a_1 e_1 + ... + a_4 e_4), mean 1 in a batch.

    e: the first three principal components of the features, and the loss, of the phase before, each
    with mean 0 and variance 1 over the pool (the paper: an autoencoder's code of x and y). a is
    what a search tunes by the metric on val; at 0 it is cross-entropy. Memory: 16 bytes an example.
    """

    needs_features = True

    def __init__(self, a1: float = 0.0, a2: float = 0.0, a3: float = 0.0, a4: float = 0.0) -> None:
        super().__init__()
        self.a = nn.Buffer(torch.tensor([a1, a2, a3, a4]))

    def bind(self, info: PhaseInfo) -> None:
        shape = (info.rows, COMPONENTS + 1)
        self.embedding = nn.Buffer(torch.zeros(shape, device=info.labels.device))

    def inherit(self, previous: PreviousPhase) -> None:
        outputs, index, y, _ = previous.predict()
        assert outputs.features is not None
        features = outputs.features.double()
        centred = features - features.mean(dim=0)
        axes = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :COMPONENTS]
        # An eigenvector's sign is arbitrary: its largest entry is taken to be positive.
        axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
        losses = nn.functional.cross_entropy(outputs.logits, y, reduction="none")
        parts = torch.cat([centred @ axes, losses.double()[:, None]], dim=1)
        scale = parts.std(dim=0, correction=0).clamp_min(1e-12)
        found = (parts - parts.mean(dim=0)) / scale
        missing = COMPONENTS + 1 - found.shape[1]  # fewer features than components
        found = nn.functional.pad(found, (missing, 0))
        remember(self.embedding, index, found.to(self.embedding))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        weights = (self.embedding[batch.index] @ self.a).sigmoid()
        return mean_one(weights.to(batch.y)) * cross_entropy(outputs.logits, batch.y)

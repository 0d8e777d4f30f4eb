"""Minimum-volume transition matrix (VolMinNet).

Li, Liu, Han, Niu & Sugiyama, "Provably end-to-end label-noise learning without anchor points", ICML
2021.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from methods.correction.noise_channel import corrected_cross_entropy
from methods.objective import Batch, Objective, Outputs, PhaseInfo
from methods.scalar_loss import Bounded


class MinimumVolume(Objective):
    """-log (p^T T)_y + lam log |det T|, T trained with the model.

    T is 1 on its diagonal and sigmoid(w) elsewhere, in rows scaled to sum 1, so that each class is
    likeliest to be labelled as itself. Of all T that explain the labels the one of least volume is
    the true one, if each class's inputs are scattered enough; none of them has to be sure.
    lam >= 0. w is not decayed; it begins at -2 - log ((K - 1) / 9), in the authors' code at -2 for
    ten classes and -4.5 for 100. Predictions are p.
    """

    def __init__(self, lam: float = 1e-4) -> None:
        super().__init__()
        self.lam = Bounded("lam", lam, 0.0)

    def bind(self, info: PhaseInfo) -> None:
        k, begin = info.classes, -2 - math.log(max(info.classes - 1, 1) / 9)
        self.w = nn.Parameter(torch.full((k, k), begin, device=info.labels.device))

    def train_parameters(self) -> Sequence[Tensor]:
        return [self.w]

    def channel(self) -> Tensor:
        """T [K, K]: row i is the distribution of observed labels of true class i."""
        diagonal = torch.eye(len(self.w), device=self.w.device, dtype=torch.bool)
        rows = torch.where(diagonal, 1.0, self.w.sigmoid())
        return rows / rows.sum(dim=1, keepdim=True)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        channel = self.channel()
        volume = torch.linalg.slogdet(channel).logabsdet
        corrected = corrected_cross_entropy(outputs.logits, batch.y, channel)
        return corrected + self.lam.value * volume.to(corrected)

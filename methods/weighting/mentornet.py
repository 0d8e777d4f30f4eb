"""MentorNet's predefined curriculum.

Jiang et al., "MentorNet: learning data-driven curriculum for very deep neural networks on corrupted
labels", ICML 2018.
"""

import math

import torch
from torch import Tensor, nn

from methods.objective import Batch, Objective, Outputs, PhaseInfo, cross_entropy
from methods.scalar_loss import Bounded

FIRST, LAST = 0.19, 0.9  # of the phase: where the curriculum begins, and where it turns linear


class PredefinedMentorNet(Objective):
    """v(d_i) CE_i, with d_i the loss less a running mean of the batches' `quantile`.

    v = 1 in the first 19 % of the phase, then 1 where d <= 0 and 0 elsewhere, in its last 10 %
    1 - d within [0, 1], as in the authors' code, which counts whole percents up to and with 18; its
    example dropout is left out. The running mean keeps `decay` of itself. quantile 1 is
    cross-entropy, nearly.
    """

    def __init__(self, quantile: float = 0.7, decay: float = 0.5) -> None:
        super().__init__()
        self.quantile = Bounded("quantile", quantile, 0.0, 1.0)
        self.decay = Bounded("decay", decay, 0.0, 1.0)

    def bind(self, info: PhaseInfo) -> None:
        self.threshold = nn.Buffer(torch.zeros(1, device=info.labels.device))

    def _next(self, losses: Tensor) -> Tensor:
        ordered, place = losses.sort().values, self.quantile.value * (len(losses) - 1)
        low, high = (ordered[at : at + 1] for at in (math.floor(place), math.ceil(place)))
        return low.lerp(high, place % 1).lerp(self.threshold, self.decay.value)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        losses = cross_entropy(outputs.logits, batch.y)
        above = losses.detach() - self._next(losses.detach())
        weights = torch.where(batch.progress < LAST, (above <= 0).to(above), 1 - above.clamp(0, 1))
        return torch.where(batch.progress < FIRST, 1.0, weights) * losses

    def after_step(self, outputs: Outputs, losses: Tensor, batch: Batch) -> None:
        self.threshold.copy_(self._next(cross_entropy(outputs.logits, batch.y)))

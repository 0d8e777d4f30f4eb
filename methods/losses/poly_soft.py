"""Polynomial soft weighting, as a loss.

Zhao et al., "Self-paced learning for matrix factorization", AAAI 2015 (soft weights); Gong et al.,
"Decomposition-based evolutionary multiobjective optimization to self-paced learning", IEEE TEVC
2019 (the polynomial family). Learned: Shu et al., "Learning adaptive loss for robust learning with
noisy labels", 2020.
"""

import math

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, PhaseInfo, expectation
from methods.scalar_loss import Bounded, Learn, ScalarLoss

LEAST = 1e-6  # of 1 - CE / lambda: for d > 2 the weight's slope is infinite at 0


class PolySoft(ScalarLoss):
    """(d - 1) / d * lambda * (1 - (1 - CE / lambda)_+^(d / (d - 1))).

    The weight of an example on the gradient of cross-entropy is (1 - CE / lambda)_+^(1 / (d - 1)):
    0 from lambda on. d > 1: 2 is a linear weight, large d a sharp threshold.
    margin = lambda - log K > 0: below a margin of 0 an untrained model would learn nothing. Its
    default is the published lambda = 5 for ten classes; far above all losses it is cross-entropy.
    """

    def __init__(self, margin: float = 2.7, d: float = 2.0, learn: Learn = False) -> None:
        super().__init__()
        self.margin = Bounded("margin", margin, 0.0, 20.0 if learn else 1e6, learn)
        self.d = Bounded("d", d, 1.01, 20.0, learn)

    def bind(self, info: PhaseInfo) -> None:
        super().bind(info)
        self.untrained = math.log(info.classes)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        threshold, d = self.margin() + self.untrained, self.d()
        left = (outputs.logits.log_softmax(dim=1) / threshold).clamp_min(LEAST - 1).log1p()
        return expectation(batch.y, -threshold * (d - 1) / d * torch.expm1(d / (d - 1) * left))

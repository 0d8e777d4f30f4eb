"""Jensen-Shannon loss.

Englesson & Azizpour, "Generalized Jensen-Shannon divergence loss for learning with noisy labels",
NeurIPS 2021: of one prediction. Their generalized form compares those of several augmented copies,
too.
"""

import math

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, expectation
from methods.scalar_loss import Bounded, ScalarLoss


class JensenShannon(ScalarLoss):
    """(H(m) - (1 - pi) H(p)) / Z, with m = pi e_y + (1 - pi) p and Z = -(1 - pi) log(1 - pi).

    The Jensen-Shannon divergence of the label, with weight pi, and the prediction. pi in (0, 1):
    towards 0 it is cross-entropy, towards 1 it is 1 - p_y, half the mean absolute error. All other
    entries of m are those of (1 - pi) p, so that it is a function of p_y alone.
    """

    def __init__(self, pi: float = 0.7) -> None:
        super().__init__()
        self.pi = Bounded("pi", pi, 0.01, 0.99)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        rest, log_p = 1 - self.pi.value, outputs.logits.log_softmax(dim=1)
        p, less = log_p.exp(), torch.expm1(log_p)  # less: p - 1
        log_m = torch.log1p(rest * less)
        divergence = rest * (p * log_p + less * math.log(rest)) - (1 + rest * less) * log_m
        return expectation(batch.y, divergence / -(rest * math.log(rest)))

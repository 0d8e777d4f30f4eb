"""Asymmetric generalized cross-entropy.

Zhou, Liu, Jiang, Gao & Ji, "Asymmetric loss functions for learning with noisy labels", ICML 2021.
"""

import math

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, expectation
from methods.scalar_loss import Bounded, ScalarLoss


class AsymmetricGeneralizedCrossEntropy(ScalarLoss):
    """((a + 1)^q - (a + p_y)^q) / q.

    The implicit weight of an example on the gradient of cross-entropy is p_y (a + p_y)^(q - 1).
    a in [0.01, 100]: towards 0 it is L_q of generalized cross-entropy; q in [0.01, 10]: 1 is
    1 - p_y, half the mean absolute error. Large a with large q is also a larger learning rate.
    """

    def __init__(self, a: float = 0.6, q: float = 0.6) -> None:
        super().__init__()
        self.a = Bounded("a", a, 0.01, 100.0)
        self.q = Bounded("q", q, 0.01, 10.0)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        log_p = outputs.logits.log_softmax(dim=1)
        return expectation(batch.y, asymmetric(log_p, self.a.value, self.q.value))


def asymmetric(log_p: Tensor, a: float, q: float) -> Tensor:
    """((a + 1)^q - (a + p)^q) / q of ln p, exact where p is near 1 and the difference small."""
    least = q * math.log1p(a)
    return -math.exp(least) * torch.expm1(q * torch.log1p(torch.expm1(log_p) / (a + 1))) / q

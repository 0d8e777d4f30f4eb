"""Asymmetric unhinged loss.

Zhou, Liu, Jiang, Gao & Ji, "Asymmetric loss functions for learning with noisy labels", ICML 2021.
"""

import math

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, expectation
from methods.scalar_loss import Bounded, ScalarLoss


class AsymmetricUnhinged(ScalarLoss):
    """((a - p_y)^q - (a - 1)^q) / q.

    The implicit weight of an example on the gradient of cross-entropy is p_y (a - p_y)^(q - 1).
    a in [1.01, 100], q in [0.01, 10]: q = 1 is 1 - p_y, half the mean absolute error; below 1 sure
    examples weigh more, above 1 unsure ones do. Large a with large q is also a larger learning
    rate. The paper writes p for q.
    """

    def __init__(self, a: float = 5.5, q: float = 3.0) -> None:
        super().__init__()
        self.a = Bounded("a", a, 1.01, 100.0)
        self.q = Bounded("q", q, 0.01, 10.0)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        a, q = self.a.value, self.q.value
        left = -torch.expm1(outputs.logits.log_softmax(dim=1))
        rise = torch.expm1(q * torch.log1p(left / (a - 1)))
        return expectation(batch.y, math.exp(q * math.log(a - 1)) * rise / q)

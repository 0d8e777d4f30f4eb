"""Asymmetric exponential loss.

Zhou, Liu, Jiang, Gao & Ji, "Asymmetric loss functions for learning with noisy labels", ICML 2021.
"""

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, expectation
from methods.scalar_loss import Bounded, ScalarLoss


class AsymmetricExponential(ScalarLoss):
    """exp(-p_y / a).

    The implicit weight of an example on the gradient of cross-entropy is p_y exp(-p_y / a) / a.
    a > 0: for large a it is 1 - p_y / a, a share of the mean absolute error; below 1 the weight
    falls again from p_y = a on.
    """

    def __init__(self, a: float = 2.5) -> None:
        super().__init__()
        self.a = Bounded("a", a, 0.01)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return expectation(batch.y, torch.exp(-outputs.logits.softmax(dim=1) / self.a.value))

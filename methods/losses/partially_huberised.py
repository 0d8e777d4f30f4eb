"""Partially Huberised cross-entropy.

Menon, Rawat, Reddi & Kumar, "Can gradient clipping mitigate label noise?", ICLR 2020.
"""

import math

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, expectation
from methods.scalar_loss import Bounded, ScalarLoss


class PartiallyHuberised(ScalarLoss):
    """-log p_y where p_y > 1 / tau, else the tangent there: 1 + log tau - tau p_y.

    The implicit weight of an example on the gradient of cross-entropy is min(1, tau p_y): only the
    gradient of the loss in the label's probability is clipped, at tau. tau in [1, 1e6]: 1 is
    1 - p_y, half the mean absolute error; large tau is cross-entropy.
    """

    def __init__(self, tau: float = 2.0) -> None:
        super().__init__()
        self.tau = Bounded("tau", tau, 1.0, 1e6)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        log_p, tau = outputs.logits.log_softmax(dim=1), self.tau.value
        tangent = 1 + math.log(tau) - tau * log_p.exp()
        return expectation(batch.y, torch.where(log_p > -math.log(tau), -log_p, tangent))

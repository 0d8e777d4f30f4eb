"""Logit clipping.

Wei, Zhuang, Xie, Feng, Niu, An & Li, "Mitigating memorization of noisy labels by clipping the model
prediction", ICML 2023.
"""

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, cross_entropy
from methods.scalar_loss import Bounded, ScalarLoss


class LogitClipping(ScalarLoss):
    """Cross-entropy of z min(1, tau / |z|), |z| the Euclidean norm of an example's logits.

    tau > 0: the loss lies within sqrt(2) tau of log K; large tau is cross-entropy. Where |z| > tau
    only the direction of z learns. Predictions are of z.
    """

    def __init__(self, tau: float = 1.0) -> None:
        super().__init__()
        self.tau = Bounded("tau", tau, 0.01)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        norms = torch.linalg.vector_norm(outputs.logits, dim=1, keepdim=True)
        tau = self.tau.value
        return cross_entropy(outputs.logits * (tau / norms.clamp_min(tau)), batch.y)

"""Sparse regularization.

Zhou, Liu, Wang, Zhai, Jiang & Ji, "Learning with noisy labels via sparse regularization", ICCV
2021.
"""

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, cross_entropy
from methods.scalar_loss import Bounded, ScalarLoss

LEAST = 1e-3  # of a norm by which logits are divided


class SparseRegularization(ScalarLoss):
    """CE(p) + lam growth^t sum_k p_k^s, with p = softmax of z / (tau |z|) and t in [0, 1].

    Logits lie on a sphere of radius 1 / tau, and a sum of powers s < 1 of the probabilities, which
    is smallest where one class has all, weighs more and more: then any loss has the minimum of a
    symmetric one. tau > 0, s in (0, 1], lam >= 0: of the penalty at the beginning; growth >= 1: by
    its end, over the phase. lam 0 leaves cross-entropy on the sphere. Predictions are p.
    """

    def __init__(
        self, tau: float = 0.5, s: float = 0.1, lam: float = 1.2, growth: float = 34.7
    ) -> None:
        super().__init__()
        self.tau = Bounded("tau", tau, 0.01)
        self.s = Bounded("s", s, 0.01, 1.0)
        self.lam = Bounded("lam", lam, 0.0)
        self.growth = Bounded("growth", growth, 1.0)

    def on_the_sphere(self, logits: Tensor) -> Tensor:
        """z / (tau |z|): [B, K] -> [B, K]."""
        norms = torch.linalg.vector_norm(logits, dim=1, keepdim=True)
        return logits / (self.tau.value * norms.clamp_min(LEAST))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        logits = self.on_the_sphere(outputs.logits)
        powers = (self.s.value * logits.log_softmax(dim=1)).exp().sum(dim=1)
        strength = self.lam.value * self.growth.value**batch.progress
        return cross_entropy(logits, batch.y) + strength.to(powers) * powers

    def predict(self, outputs: Outputs) -> Tensor:
        return self.on_the_sphere(outputs.logits).softmax(dim=1)

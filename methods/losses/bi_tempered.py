"""Bi-tempered logistic loss.

Amid, Warmuth, Anil & Koren, "Robust bi-tempered logistic loss based on Bregman divergences",
NeurIPS 2019. Learned temperatures: Shu et al., "Learning adaptive loss for robust learning with
noisy labels", 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, expectation
from methods.scalar_loss import Bounded, Learn, ScalarLoss

STEPS = 25  # of Newton's method: at most 21 are needed for 1e-12 with K <= 1,000, t <= 4
CLOSE = 1e-3  # a temperature as near to 1 is taken as 1


def tempered_logarithm(log_u: Tensor, t: Tensor | float) -> Tensor:
    """log_t u = (u^(1 - t) - 1) / (1 - t), of ln u; ln u at t = 1."""
    if isinstance(t, float) and abs(t - 1) < CLOSE:
        return log_u
    return torch.expm1((1 - t) * log_u) / (1 - t)


def tempered_log_softmax(logits: Tensor, t: Tensor | float) -> Tensor:
    """ln of exp_t(z - lambda), whose sum over the K classes is 1: [B, K] -> [B, K]. t >= 1.

    The sum is convex and falls in lambda, so that Newton's method rises to the root from the
    largest logit. Two further steps carry the gradient: then first and second derivatives, those in
    t and mixed ones too, are exact.
    """
    if isinstance(t, float) and abs(t - 1) < CLOSE:
        return logits.log_softmax(dim=1)
    shifted = logits - logits.detach().amax(dim=1, keepdim=True)
    normaliser = torch.zeros_like(shifted[:, :1])
    with torch.no_grad():
        for _ in range(STEPS):
            normaliser = _newton(normaliser, shifted, t)
    for _ in range(2):
        normaliser = _newton(normaliser, shifted, t)
    return _log_exponential(shifted - normaliser, t)


def _log_exponential(v: Tensor, t: Tensor | float) -> Tensor:
    """ln exp_t v of v <= 0, with t > 1."""
    return -torch.log1p((1 - t) * v) / (t - 1)


def _newton(normaliser: Tensor, shifted: Tensor, t: Tensor | float) -> Tensor:
    log_p = _log_exponential(shifted - normaliser, t)
    excess = log_p.exp().sum(dim=1, keepdim=True) - 1
    return normaliser + excess / (t * log_p).exp().sum(dim=1, keepdim=True)


class BiTempered(ScalarLoss):
    """-log_t1 P_y - (1 - sum_k P_k^(2 - t1)) / (2 - t1), with P the tempered softmax of t2.

    t1 in [0, 1]: below 1 the loss is at most 1 / (1 - t1). t2 >= 1: above 1 the tails are heavy.
    Both 1 is cross-entropy. Defaults are the paper's for CIFAR-100. Unlike its code, which takes
    five steps of a fixed-point iteration, P sums to 1. Predictions are P: a proper loss for it, not
    for the softmax. Learned t1 lies below 0.99, t2 above 1.01.
    """

    def __init__(self, t1: float = 0.8, t2: float = 1.2, learn: Learn = False) -> None:
        super().__init__()
        self.t1 = Bounded("t1", t1, 0.0, 0.99 if learn else 1.0, learn)
        self.t2 = Bounded("t2", t2, 1.01 if learn else 1.0, 5.0, learn)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        t1 = self.t1()
        log_p = tempered_log_softmax(outputs.logits, self.t2())
        powers = ((2 - t1) * log_p).exp().sum(dim=1)
        return -expectation(batch.y, tempered_logarithm(log_p, t1)) - (1 - powers) / (2 - t1)

    def predict(self, outputs: Outputs) -> Tensor:
        return tempered_log_softmax(outputs.logits, self.t2()).exp()

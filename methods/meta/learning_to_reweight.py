"""Learning to reweight examples.

Ren, Zeng, Yang & Urtasun, "Learning to reweight examples for robust deep learning", ICML 2018.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from methods.objective import Batch, ModelCall, Objective, Outputs, cross_entropy, rectified

SCALES = ("one", "damped", "matched")


class LearningToReweight(Objective):
    """Cross-entropy with weights that are fresh at every step.

    w_i is proportional to max(0, u_i), with u_i = -d clean / d w_i at w = 0.
    The losses are B * w_i * CE_i, since the loop takes their mean and the weights of a batch sum to
    1.

    Where few u_i are positive a few examples have all of the weight, and the step is longer than
    cross-entropy's, at the rate that suited that. Not the paper's, and against it:
    scale: to what the weights sum. `one`: the paper's 1; `damped`: sum max(0, u) / sum |u|, the
    share of the evidence that speaks for an example; `matched`: so much less than 1 that sum w_i
    |p_i - y_i|, a bound of the gradient in the logits, is no longer than cross-entropy's.
    cap: most that one example weighs, in units of the mean weight 1/B; what is cut off is not given
    to others.
    """

    fresh_each_step = True

    def __init__(self, scale: str = "one", cap: float = math.inf) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ValueError(f"scale = {scale!r} must be one of {', '.join(SCALES)}")
        if not cap > 0:
            raise ValueError(f"cap = {cap!r} must be above 0")
        self.scale, self.cap = scale, cap

    def before_step(self, batch: Batch, model: ModelCall) -> Batch:
        self.weights = torch.zeros(len(batch.y), device=batch.y.device, dtype=batch.y.dtype)
        self.weights.requires_grad_()
        return batch

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        weights = self.weights
        if self.scale == "matched" and not weights.requires_grad:  # it has been learned
            weights = weights * _no_longer(weights, outputs, batch)
        return len(batch.y) * weights * cross_entropy(outputs.logits, batch.y)

    def meta_parameters(self) -> Sequence[Tensor]:
        return [self.weights]

    def meta_step(self, grads: Sequence[Tensor], optimizer: torch.optim.Optimizer | None) -> None:
        evidence = -grads[0].detach()
        weights = rectified(evidence)
        if self.scale == "damped":
            total = evidence.abs().sum()
            weights = evidence.clamp_min(0) / torch.where(total > 0, total, 1.0)
        if self.cap < math.inf:
            weights = weights.clamp_max(self.cap / len(weights))
        self.weights = weights


@torch.no_grad()
def _no_longer(weights: Tensor, outputs: Outputs, batch: Batch) -> Tensor:
    """By what weights [B] are multiplied so that sum w |p - y| is at most the mean of |p - y|."""
    lengths = (outputs.logits.softmax(dim=1) - batch.y).norm(dim=1)
    weighted = (weights * lengths).sum()
    return torch.where(weighted > 0, lengths.mean() / weighted, 1.0).clamp_max(1.0)

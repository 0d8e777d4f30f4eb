"""Active negative loss.

Ye, Li, Dai, Yu, Zhang & Wang, "Active negative loss functions for learning with noisy labels",
NeurIPS 2023.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, expectation
from methods.scalar_loss import Bounded, ScalarLoss

MOST = 16.118095650958319  # -ln 1e-7, the largest cross-entropy that counts


class ActiveNegative(ScalarLoss):
    """alpha * NCE + beta * NNCE, with the penalty delta |theta|_1.

    NCE = log p_y / sum_k log p_k; NNCE = 1 - (A + log p_y) / sum_k (A + log p_k), with log p at
    least -A = ln 1e-7, lowers the other classes, least where the model gives them nothing. The sum
    over all labels is 1 of the one, K - 1 of the other. The penalty stands in the place of weight
    decay, which the authors turn off. alpha, beta, delta >= 0; 5, 5 and 5e-5 for CIFAR-10.
    """

    def __init__(self, alpha: float = 5.0, beta: float = 5.0, delta: float = 5e-5) -> None:
        super().__init__()
        self.alpha = Bounded("alpha", alpha, 0.0, 100.0)
        self.beta = Bounded("beta", beta, 0.0, 100.0)
        self.delta = Bounded("delta", delta, 0.0, 1.0)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        log_p = outputs.logits.log_softmax(dim=1)
        normalized = log_p / log_p.sum(dim=1, keepdim=True)
        above = MOST + log_p.clamp_min(-MOST)
        negative = 1 - above / above.sum(dim=1, keepdim=True)
        return expectation(batch.y, self.alpha.value * normalized + self.beta.value * negative)

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor:
        return self.delta.value * torch.stack([p.abs().sum() for p in parameters.values()]).sum()

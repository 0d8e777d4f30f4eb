"""Active passive losses.

Ma et al., "Normalized loss functions for deep learning with noisy labels", ICML 2020.
"""

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, expectation
from methods.scalar_loss import Bounded, Learn, ScalarLoss


class ActivePassive(ScalarLoss):
    """alpha * NCE + beta * RCE: normalized and reverse cross-entropy.

    NCE = log p_y / sum_k log p_k raises p_y, RCE = -A (1 - p_y) lowers the other classes; the sum
    of either over all labels is constant. alpha, beta >= 0 (1 and 1 for CIFAR-10, 10 and 0.1 for
    CIFAR-100). A = ln 1e-4 = -9.21 is the authors' code's.
    """

    def __init__(
        self, alpha: float = 1.0, beta: float = 1.0, A: float = -9.21034, learn: Learn = False
    ) -> None:
        super().__init__()
        if A >= 0:
            raise ValueError(f"A = {A!r} must be negative: it stands for log 0")
        self.alpha = Bounded("alpha", alpha, 0.0, 100.0, learn)
        self.beta = Bounded("beta", beta, 0.0, 100.0, learn)
        self.A = A

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        log_p = outputs.logits.log_softmax(dim=1)
        normalized = log_p / log_p.sum(dim=1, keepdim=True)
        reverse = self.A * torch.expm1(log_p)
        return expectation(batch.y, self.alpha() * normalized + self.beta() * reverse)

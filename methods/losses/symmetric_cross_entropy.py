"""Symmetric cross-entropy.

Wang et al., "Symmetric cross entropy for robust learning with noisy labels", ICCV 2019.
"""

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, expectation
from methods.scalar_loss import Bounded, Learn, ScalarLoss


class SymmetricCrossEntropy(ScalarLoss):
    """alpha * CE + beta * RCE, with RCE = -A (1 - p_y): its log 0 is A < 0.

    The paper's A is -4; its published code clips at 1e-4 and so uses ln 1e-4 = -9.21. Only beta *
    |A| matters.
    Learned alpha and beta stay below `cap`: the clean loss can win by rescaling both, which is a
    learning rate.
    """

    def __init__(
        self,
        alpha: float = 0.1,
        beta: float = 1.0,
        A: float = -4.0,
        learn: Learn = False,
        cap: float = 20.0,
    ) -> None:
        super().__init__()
        if A >= 0:
            raise ValueError(f"A = {A!r} must be negative: it stands for log 0")
        self.alpha = Bounded("alpha", alpha, 0.0, cap, learn)
        self.beta = Bounded("beta", beta, 0.0, cap, learn)
        self.A = A

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        log_p = outputs.logits.log_softmax(dim=1)
        reverse = self.A * torch.expm1(log_p)
        return expectation(batch.y, self.beta() * reverse - self.alpha() * log_p)

"""Taylor cross-entropy.

Feng, Shu, Lin, Lv, Li & An, "Can cross entropy loss be robust to label noise?", IJCAI 2020.
"""

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, expectation
from methods.scalar_loss import ScalarLoss


class TaylorCrossEntropy(ScalarLoss):
    """sum_{i=1}^t (1 - p_y)^i / i, the first t terms of -log p_y around p_y = 1.

    t = 1 is half the mean absolute error, large t cross-entropy. The implicit weight of an example
    on the gradient of cross-entropy is 1 - (1 - p_y)^t.
    """

    def __init__(self, t: int = 2) -> None:
        super().__init__()
        if not isinstance(t, int) or t < 1:
            raise ValueError(f"t = {t!r} must be a whole number from 1 on")
        self.t = t

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        left = -torch.expm1(outputs.logits.log_softmax(dim=1))
        terms = [left**i / i for i in range(1, self.t + 1)]
        return expectation(batch.y, torch.stack(terms).sum(dim=0))

"""Mean absolute error.

Ghosh, Kumar & Sastry, "Robust loss functions under label noise for deep neural networks", AAAI
2017.
"""

import torch
from torch import Tensor

from methods.objective import Batch, Objective, Outputs, expectation


class MeanAbsoluteError(Objective):
    """sum_k |p_k - y_k| = 2 (1 - p_y).

    Symmetric: its sum over all labels is 2 (K - 1), so uniform noise below 1 - 1 / K does not move
    its minimum. The implicit weight on the gradient of cross-entropy is 2 p_y. Published code of
    others drops the 2.
    """

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return expectation(batch.y, -2 * torch.expm1(outputs.logits.log_softmax(dim=1)))

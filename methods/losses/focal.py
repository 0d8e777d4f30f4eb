"""Focal loss. Lin et al., "Focal loss for dense object detection", ICCV 2017."""

import torch
from torch import Tensor

from methods.objective import Batch, Outputs, expectation
from methods.scalar_loss import Bounded, Learn, ScalarLoss


class Focal(ScalarLoss):
    """-(1 - p_y)^gamma log p_y; the modulating factor carries its gradient, as in the paper.

    gamma >= 0: 0 is cross-entropy; larger values turn from easy to hard examples, mislabelled ones
    among them.
    """

    def __init__(self, gamma: float = 2.0, learn: Learn = False) -> None:
        super().__init__()
        self.gamma = Bounded("gamma", gamma, 0.0, learn=learn)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        log_p = outputs.logits.log_softmax(dim=1)
        rest = -torch.expm1(log_p)
        # Where p rounds to 1 the loss is below resolution; a power of 0 would give it the gradient
        # 0 * inf.
        visible = rest > torch.finfo(rest.dtype).eps
        factor = torch.where(visible, rest, 1.0) ** self.gamma()
        return expectation(batch.y, torch.where(visible, -factor * log_p, -log_p))

"""Focal weighting: the focal loss without the gradient of its weight.

After Lin et al., "Focal loss for dense object detection", ICCV 2017; several published codes detach
the weight.
"""

import torch
from torch import Tensor

from methods.objective import Batch
from methods.scalar_loss import Bounded
from methods.weighting.by_loss import WeightedByLoss


class FocalWeighting(WeightedByLoss):
    """w_i = (1 - exp(-CE_i))^gamma, 1 - p_y for hard labels, scaled to mean 1.

    gamma >= 0: 0 is cross-entropy.
    """

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = Bounded("gamma", gamma, 0.0, 20.0)

    def weights(self, losses: Tensor, batch: Batch) -> Tensor:
        return (-torch.expm1(-losses)) ** self.gamma.value

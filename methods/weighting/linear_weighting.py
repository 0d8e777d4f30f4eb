"""Linear weighting. Jiang et al., "Self-paced curriculum learning", AAAI 2015."""

import math

from torch import Tensor

from methods.objective import Batch, PhaseInfo
from methods.scalar_loss import Bounded
from methods.weighting.by_loss import WeightedByLoss


class LinearWeighting(WeightedByLoss):
    """w_i = (1 - CE_i / lambda)_+ with a constant lambda = margin + log K, scaled to mean 1.

    But for the scaling its gradient is PolySoft's at d = 2. margin > 0: at infinity it is
    cross-entropy; its default is lambda = 5 for ten classes.
    """

    def __init__(self, margin: float = 2.7) -> None:
        super().__init__()
        self.margin = Bounded("margin", margin, 0.0, math.inf)

    def bind(self, info: PhaseInfo) -> None:
        self.threshold = self.margin.value + math.log(info.classes)

    def weights(self, losses: Tensor, batch: Batch) -> Tensor:
        return (1 - losses / self.threshold).clamp_min(0)

"""Online hard example mining.

Shrivastava, Gupta & Girshick, "Training region-based object detectors with online hard example
mining", CVPR 2016.
"""

from torch import Tensor

from methods.objective import Batch
from methods.scalar_loss import Bounded
from methods.weighting.by_loss import WeightedByLoss


class HardExamples(WeightedByLoss):
    """Cross-entropy on the share * B examples of a batch whose loss is largest, at least one.

    share in (0, 1]: 1 is cross-entropy. Under label noise it picks the wrong labels: a negative
    control.
    """

    def __init__(self, share: float = 0.5) -> None:
        super().__init__()
        self.share = Bounded("share", share, 0.0, 1.0)

    def weights(self, losses: Tensor, batch: Batch) -> Tensor:
        kept = max(1, int(self.share.value * len(losses)))
        rank = losses.argsort(stable=True, descending=True).argsort()
        return (rank < kept).to(losses)

"""Co-teaching.

Han et al., "Co-teaching: robust training of deep neural networks with extremely noisy labels",
NeurIPS 2018.
"""

from torch import Tensor

from methods.noise_rate import NoiseRate, Rate
from methods.objective import Batch, Objective, Outputs, PhaseInfo, cross_entropy
from methods.scalar_loss import Bounded
from methods.selection.small_loss import share_left_out, smallest


class CoTeaching(Objective):
    """Each of two networks on the (1 - R) B examples whose loss is smallest for the other one.

    The loss of an example is the sum of the two networks' (algorithm 1); predictions are their mean
    (the paper reports each). rate, ramp: R at its end, and the share of the phase over which it
    rises from 0, as for `SmallLoss`. The published code divides the mean of the selected losses by
    their number once more, which under SGD is another learning rate: not here.
    """

    networks = 2

    def __init__(self, rate: Rate = 0.2, ramp: float = 0.05) -> None:
        super().__init__()
        self.rate = NoiseRate("rate", rate, 0.0, 1.0)
        self.ramp = Bounded("ramp", ramp, 0.0, 1.0)
        self.oracle = self.rate.measured

    def bind(self, info: PhaseInfo) -> None:
        self.rate.bind(info)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        own, other = (cross_entropy(each.logits, batch.y) for each in outputs.each())
        left_out = share_left_out(self.rate.value, self.ramp.value, batch.progress)
        return smallest(other.detach(), left_out) * own + smallest(own.detach(), left_out) * other

"""Small-loss selection: co-teaching with one network, its control.

Han et al., "Co-teaching: robust training of deep neural networks with extremely noisy labels",
NeurIPS 2018.
"""

from torch import Tensor

from methods.noise_rate import NoiseRate, Rate
from methods.objective import Batch, Objective, Outputs, PhaseInfo, cross_entropy
from methods.scalar_loss import Bounded


def share_left_out(rate: float | Tensor, ramp: float, progress: Tensor) -> Tensor:
    """R(t) = rate min(t / T_k, 1), with t / T_k as progress over ramp (algorithm 1)."""
    return rate * (progress / max(ramp, 1e-12)).clamp(max=1.0)


def smallest(losses: Tensor, left_out: Tensor) -> Tensor:
    """Weights [B]: 0 on the given share of the largest losses, equal on the rest, with mean 1.

    At least one example is kept.
    """
    kept = ((1 - left_out) * len(losses)).floor().clamp_min(1)
    rank = losses.argsort(stable=True).argsort()
    return (rank < kept) * (len(losses) / kept)


class Selection(Objective):
    """What selects the examples of a batch whose losses are smallest, all but a share R of them.

    rate: R at its end, the share of wrong labels; ramp: the share of the phase over which R rises
    to it from 0 (T_k = 10 of 200 epochs in the paper). Of rate `measured` it is an oracle.
    """

    def __init__(self, rate: Rate = 0.2, ramp: float = 0.05) -> None:
        super().__init__()
        self.rate = NoiseRate("rate", rate, 0.0, 1.0)
        self.ramp = Bounded("ramp", ramp, 0.0, 1.0)
        self.oracle = self.rate.measured

    def bind(self, info: PhaseInfo) -> None:
        self.rate.bind(info)

    def selected(self, losses: Tensor, batch: Batch) -> Tensor:
        """Weights [B] of the examples of a batch, by their losses [B]; without a gradient."""
        left_out = share_left_out(self.rate.value, self.ramp.value, batch.progress)
        return smallest(losses.detach(), left_out)


class SmallLoss(Selection):
    """Cross-entropy on the (1 - R) B examples of a batch whose loss is smallest.

    Co-teaching without the second network.
    """

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        losses = cross_entropy(outputs.logits, batch.y)
        return self.selected(losses, batch) * losses

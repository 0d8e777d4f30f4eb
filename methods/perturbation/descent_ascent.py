"""Alternating descent and ascent: the weights and each example's own perturbation, a step each.

Ours, after Shafahi et al., "Adversarial training for free!", NeurIPS 2019: no algorithm for
networks was found in the papers that analyse such dynamics.
"""

from torch import Tensor

from methods.objective import Batch, PhaseInfo
from methods.perturbation.free_adversarial_training import FreeAdversarialTraining


class DescentAscent(FreeAdversarialTraining):
    """min over weights, max over d_i of the mean of CE(x_i + d_i): one backward, a step of each.

    Free adversarial training without replays, whose perturbations belong to the examples and wait
    for them until the next epoch. They do not follow crops and flips of the protocol. Memory: the
    inputs once more in float32: at N = 1,000,000 of 3 x 32 x 32 pixels 12 GB.
    """

    def __init__(self, radius: float = 1.0, step: float = 0.25) -> None:
        super().__init__(radius, step, m=1)

    def _places(self, info: PhaseInfo) -> int:
        return info.rows

    def _rows(self, batch: Batch) -> Tensor:
        return batch.index

"""Class-balanced sampling.

Kang et al., "Decoupling representation and classifier for long-tailed recognition", ICLR 2020.
"""

from torch import Tensor, nn

from methods.objective import Batch, Objective, Outputs, PhaseInfo, Predict, cross_entropy
from methods.scalar_loss import Bounded


class Resampling(Objective):
    """Cross-entropy on examples drawn with replacement, each with weight n_y^-rho.

    rho in [0, 1]: 0 draws every example alike, 1 every class. The length of an epoch stays as it
    is. n counts observed labels.
    """

    def __init__(self, rho: float = 1.0) -> None:
        super().__init__()
        self.rho = Bounded("rho", rho, 0.0, 1.0)

    def bind(self, info: PhaseInfo) -> None:
        of_class = info.counts.clamp_min(1).to(info.labels.device).double() ** -self.rho.value
        self.of_row = nn.Buffer(of_class[info.labels.clamp_min(0)])

    def begin_epoch(self, epoch: int, predict: Predict) -> Tensor:
        return self.of_row

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits, batch.y)

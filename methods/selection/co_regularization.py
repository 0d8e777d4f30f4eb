"""Joint training with co-regularization (JoCoR).

Wei, Feng, Chen & An, "Combating noisy labels by agreement: a joint training method with
co-regularization", CVPR 2020.
"""

from torch import Tensor

from methods.noise_rate import Rate
from methods.objective import Batch, Outputs, cross_entropy
from methods.scalar_loss import Bounded
from methods.selection.small_loss import Selection


class CoRegularization(Selection):
    """Two networks on the (1 - R) B examples whose joint loss is smallest.

    The joint loss is (1 - lam) (CE_1 + CE_2) + lam (KL(p_1, p_2) + KL(p_2, p_1)), with the gradient
    through both sides. lam in [0, 1]: 0 is small-loss selection by the two networks' sum.
    Predictions are the networks' mean; the paper reports each.
    """

    networks = 2

    def __init__(self, lam: float = 0.9, rate: Rate = 0.2, ramp: float = 0.05) -> None:
        super().__init__(rate, ramp)
        self.lam = Bounded("lam", lam, 0.0, 1.0)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        lam = self.lam.value
        one, two = (each.logits.log_softmax(dim=1) for each in outputs.each())
        of_labels = cross_entropy(one, batch.y) + cross_entropy(two, batch.y)
        apart = ((one.exp() - two.exp()) * (one - two)).sum(dim=1)
        losses = (1 - lam) * of_labels + lam * apart
        return self.selected(losses, batch) * losses

"""Co-teaching.

Han et al., "Co-teaching: robust training of deep neural networks with extremely noisy labels",
NeurIPS 2018.
"""

from torch import Tensor

from methods.objective import Batch, Outputs, cross_entropy
from methods.selection.small_loss import Selection


class CoTeaching(Selection):
    """Each of two networks on the (1 - R) B examples whose loss is smallest for the other one.

    The loss of an example is the sum of the two networks' (algorithm 1); predictions are their mean
    (the paper reports each). The published code divides the mean of the selected losses by their
    number once more, which under SGD is another learning rate: not here.
    """

    networks = 2

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        own, other = (cross_entropy(each.logits, batch.y) for each in outputs.each())
        return self.selected(other, batch) * own + self.selected(own, batch) * other

"""Cross-entropy with label smoothing.

Szegedy et al., "Rethinking the Inception architecture", CVPR 2016.
"""

from torch import Tensor

from methods.objective import Batch, Outputs, cross_entropy
from methods.scalar_loss import Bounded, ScalarLoss


class CrossEntropy(ScalarLoss):
    """-sum_k t_k log p_k with the target t = (1 - s) y + s / K.

    smoothing s in [0, 1]: 0 is plain cross-entropy, 1 ignores the labels.
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = Bounded("smoothing", smoothing, 0.0, 1.0)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        s = self.smoothing()
        target = (1 - s) * batch.y + s / batch.y.shape[1] if s else batch.y
        return cross_entropy(outputs.logits, target)

"""Vector-scaling loss.

Kini, Paraskevas, Oymak & Thrampoulidis, "Label-imbalanced and group-sensitive classification under
overparameterization", NeurIPS 2021.
"""

from torch import Tensor, nn

from methods.objective import Batch, Outputs, PhaseInfo, cross_entropy
from methods.scalar_loss import Bounded, ScalarLoss


class VectorScaling(ScalarLoss):
    """Cross-entropy of z (n / n_max)^gamma + tau log (n / N); predictions are of z.

    gamma >= 0: rarer classes have flatter logits, and so end with larger margins; tau >= 0: as in
    logit adjustment, which it is at gamma 0; both 0 is cross-entropy. n counts observed labels; a
    class without examples counts as one with a single one.
    """

    def __init__(self, gamma: float = 0.2, tau: float = 1.2) -> None:
        super().__init__()
        self.gamma = Bounded("gamma", gamma, 0.0, 10.0)
        self.tau = Bounded("tau", tau, 0.0, 10.0)

    def bind(self, info: PhaseInfo) -> None:
        super().bind(info)
        counts = info.counts.to(info.labels.device).clamp_min(1)
        self.scales = nn.Buffer((counts / counts.max()) ** self.gamma.value)
        self.shifts = nn.Buffer(self.tau.value * (counts / counts.sum()).log())

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits * self.scales + self.shifts, batch.y)

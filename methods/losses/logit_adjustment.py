"""Logit-adjusted cross-entropy.

Menon et al., "Long-tail learning via logit adjustment", ICLR 2021; tau = 1 is the balanced softmax
of Ren et al., "Balanced meta-softmax for long-tailed visual recognition", NeurIPS 2020.
"""

from torch import Tensor, nn

from methods.objective import Batch, Outputs, PhaseInfo, cross_entropy
from methods.scalar_loss import Bounded, ScalarLoss


class LogitAdjustment(ScalarLoss):
    """Cross-entropy of z + tau log pi, pi the classes' shares of the pool; predictions are of z.

    tau >= 0: 0 is cross-entropy, 1 is consistent for the balanced error. pi counts observed labels,
    so that noise makes it flatter. A class without examples counts as one with a single one.
    """

    def __init__(self, tau: float = 1.0) -> None:
        super().__init__()
        self.tau = Bounded("tau", tau, 0.0, 10.0)

    def bind(self, info: PhaseInfo) -> None:
        super().bind(info)
        counts = info.counts.to(info.labels.device).clamp_min(1)
        self.log_prior = nn.Buffer((counts / counts.sum()).log())

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits + self.tau() * self.log_prior, batch.y)

"""Forward loss correction with an estimated transition matrix.

Patrini et al., "Making deep neural networks robust to label noise: a loss correction approach",
CVPR 2017.
"""

import torch
from torch import Tensor, nn

from methods.correction.noise_channel import corrected_cross_entropy, stochastic
from methods.objective import Batch, Objective, Outputs, PhaseInfo, PreviousPhase
from methods.scalar_loss import Bounded


class ForwardCorrection(Objective):
    """-log (p^T T)_y, with T estimated from the predictions of the phase before (section 4.2).

    Row i of T is the prediction for the example that is most surely of class i (an anchor). As in
    the published code, the surest are taken for outliers: those at and above `quantile` of a
    class's probabilities are passed over, none at 1 (the code's choice for 100 classes).
    """

    def __init__(self, quantile: float = 0.97) -> None:
        super().__init__()
        self.quantile = Bounded("quantile", quantile, 0.5, 1.0)

    def bind(self, info: PhaseInfo) -> None:
        self.channel = nn.Buffer(stochastic(torch.eye(info.classes)).to(info.labels.device))

    def inherit(self, previous: PreviousPhase) -> None:
        p = previous.objective.predict(previous.predict().outputs).to(self.channel)
        anchors = p
        if self.quantile.value < 1:
            outliers = p >= p.quantile(self.quantile.value, dim=0, interpolation="higher")
            anchors = p.masked_fill(outliers, 0.0)
        self.channel.copy_(stochastic(p[anchors.argmax(dim=0)]))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return corrected_cross_entropy(outputs.logits, batch.y, self.channel)

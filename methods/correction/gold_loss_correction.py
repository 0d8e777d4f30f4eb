"""Gold loss correction.

Hendrycks et al., "Using trusted data to train deep networks on labels corrupted by severe noise",
NeurIPS 2018.
"""

import torch
from torch import Tensor, nn

from methods.correction.noise_channel import corrected_cross_entropy, stochastic
from methods.objective import (
    Batch,
    Objective,
    Outputs,
    PhaseInfo,
    PreviousPhase,
    cross_entropy,
)


class GoldLossCorrection(Objective):
    """Cross-entropy on trusted examples; on the others that of p^T C, what noise makes of p.

    Row i of C is the mean prediction, over trusted examples of class i, of a model trained on the
    noisy labels alone (algorithm 1): the phase before. A class without trusted examples has a
    uniform row; entries are at least 1e-6. Without a phase before, C is
    uniform, which teaches nothing.
    """

    def bind(self, info: PhaseInfo) -> None:
        uniform = torch.full((info.classes, info.classes), 1 / info.classes)
        self.channel = nn.Buffer(uniform.to(info.labels.device))

    def inherit(self, previous: PreviousPhase) -> None:
        outputs, _, y, _ = previous.predict("meta")
        members = nn.functional.one_hot(y, len(self.channel)).to(self.channel)  # [n, K]
        total = members.T @ previous.objective.predict(outputs).to(self.channel)
        count = members.sum(dim=0)[:, None]
        self.channel.copy_(stochastic(torch.where(count > 0, total / count, self.channel)))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        plain = cross_entropy(outputs.logits, batch.y)
        noisy = corrected_cross_entropy(outputs.logits, batch.y, self.channel)
        return torch.where(batch.trusted, plain, noisy)

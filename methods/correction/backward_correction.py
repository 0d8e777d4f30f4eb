"""Backward loss correction with an estimated transition matrix.

Patrini et al., "Making deep neural networks robust to label noise: a loss correction approach",
CVPR 2017.
"""

import torch
from torch import Tensor, nn

from methods.correction.forward_correction import ForwardCorrection
from methods.objective import Batch, Outputs, PhaseInfo, PreviousPhase, cross_entropy


class BackwardCorrection(ForwardCorrection):
    """-(y^T T^-1) log p (theorem 1), T estimated as for forward correction.

    Its expectation over the noise is the cross-entropy of the true label. Entries of T^-1 may be
    negative, so that a single loss is unbounded below. Of a singular T, which has no inverse, the
    pseudo-inverse is taken.
    """

    def bind(self, info: PhaseInfo) -> None:
        super().bind(info)
        self.inverse = nn.Buffer(torch.linalg.pinv(self.channel))

    def inherit(self, previous: PreviousPhase) -> None:
        super().inherit(previous)
        self.inverse.copy_(torch.linalg.pinv(self.channel.double()))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits, batch.y @ self.inverse.to(batch.y))

"""A noise adaptation layer: the simple model.

Goldberger & Ben-Reuven, "Training deep neural-networks using a noise adaptation layer", ICLR 2017.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from methods.correction.noise_channel import SMALLEST, corrected_cross_entropy
from methods.noise_rate import NoiseRate, Rate
from methods.objective import Batch, Objective, Outputs, PhaseInfo


class NoiseLayer(Objective):
    """-log (p^T T)_y, with T = softmax of the rows of b [K, K], trained with the model.

    It begins as symmetric noise of the rate `noise` in (0, 1): without a start near the identity, T
    and the model's classes could be permuted together; of `measured` it is an oracle. Predictions
    are p. b is not decayed. The paper's complex model, in which b depends on the features, is left
    out.
    """

    def __init__(self, noise: Rate = 0.1) -> None:
        super().__init__()
        self.noise = NoiseRate("noise", noise, SMALLEST, 1 - SMALLEST)
        self.oracle = self.noise.measured

    def bind(self, info: PhaseInfo) -> None:
        self.noise.bind(info)
        k, noise = info.classes, min(max(float(self.noise.value), SMALLEST), 1 - SMALLEST)
        rows = torch.full((k, k), noise / max(k - 1, 1)).fill_diagonal_(1 - noise)
        self.b = nn.Parameter(rows.log().to(info.labels.device))

    def train_parameters(self) -> Sequence[Tensor]:
        return [self.b]

    def channel(self) -> Tensor:
        """T [K, K]: row i is the distribution of observed labels of true class i."""
        return self.b.softmax(dim=1)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return corrected_cross_entropy(outputs.logits, batch.y, self.channel())

"""A noise adaptation layer: the simple model.

Goldberger & Ben-Reuven, "Training deep neural-networks using a noise adaptation layer", ICLR 2017.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from methods.correction.noise_channel import corrected_cross_entropy
from methods.objective import Batch, Objective, Outputs, PhaseInfo
from methods.scalar_loss import Bounded


class NoiseLayer(Objective):
    """-log (p^T T)_y, with T = softmax of the rows of b [K, K], trained with the model.

    It begins as symmetric noise of the rate `noise` in (0, 1): without a start near the identity, T
    and the model's classes could be permuted together. Predictions are p. b is not decayed. The
    paper's complex model, in which b depends on the features, is left out.
    """

    def __init__(self, noise: float = 0.1) -> None:
        super().__init__()
        self.noise = Bounded("noise", noise, 1e-6, 1 - 1e-6)

    def bind(self, info: PhaseInfo) -> None:
        k, noise = info.classes, self.noise.value
        rows = torch.full((k, k), noise / max(k - 1, 1)).fill_diagonal_(1 - noise)
        self.b = nn.Parameter(rows.log().to(info.labels.device))

    def train_parameters(self) -> Sequence[Tensor]:
        return [self.b]

    def channel(self) -> Tensor:
        """T [K, K]: row i is the distribution of observed labels of true class i."""
        return self.b.softmax(dim=1)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return corrected_cross_entropy(outputs.logits, batch.y, self.channel())

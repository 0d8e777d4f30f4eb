"""A bilinear loss, learned from the clean loss.

After Wu et al., "Learning to teach with dynamic loss functions", NeurIPS 2018, and Huang et al.,
"Addressing the loss-metric mismatch with adaptive loss alignment", ICML 2019: their teachers are
recurrent networks and policies; here the matrix itself learns by hypergradient.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from methods.objective import Batch, Objective, Outputs, PhaseInfo, cross_entropy


class BilinearLoss(Objective):
    """-y^T Phi log p, with Phi [K, K] learned; each row is a softmax, so it sums to 1.

    Row y is the distribution that label y stands for: without the constraint Phi would be a
    learning rate, too, and the loss unbounded below. Phi begins with 1 - `spread` on its diagonal,
    and spread / (K - 1) elsewhere; at the identity it is cross-entropy. K^2 numbers from a hundred
    clean labels may overfit them.
    """

    def __init__(self, spread: float = 0.05) -> None:
        super().__init__()
        if not 0 < spread < 1:
            raise ValueError(f"spread = {spread!r} must lie in (0, 1)")
        self.spread = spread

    def bind(self, info: PhaseInfo) -> None:
        k = info.classes
        rows = torch.full((k, k), self.spread / max(k - 1, 1)).fill_diagonal_(1 - self.spread)
        self.raw = nn.Parameter(rows.log().to(info.labels.device))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        return cross_entropy(outputs.logits, batch.y @ self.raw.softmax(dim=1))

    def meta_parameters(self) -> Sequence[Tensor]:
        return [self.raw]

    def learned(self) -> dict[str, Tensor]:
        """The mean share of a label that it keeps."""
        return {"kept": self.raw.softmax(dim=1).diagonal().mean().detach()}

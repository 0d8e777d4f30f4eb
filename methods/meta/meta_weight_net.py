"""Meta-Weight-Net.

Shu et al., "Meta-Weight-Net: learning an explicit mapping for sample weighting", NeurIPS 2019.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from methods.objective import Batch, Objective, Outputs, cross_entropy


class MetaWeightNet(Objective):
    """Cross-entropy weighted by V(CE_i), a network 1 - hidden - 1 with a sigmoid at its end.

    The input of V is detached.
    normalize: weights divided by their sum over the batch (the code of the paper's time, and robust
    against all weights drifting to zero); otherwise the mean of V(CE_i) CE_i (the authors' later
    code).
    """

    def __init__(self, hidden: int = 100, normalize: bool = True) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"hidden = {hidden!r} must be at least 1")
        self.normalize = normalize
        self.net = nn.Sequential(
            nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Sigmoid()
        )

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        losses = cross_entropy(outputs.logits, batch.y)
        weights = self.net(losses.detach()[:, None]).squeeze(1)
        if self.normalize:
            total = weights.sum()
            weights = len(losses) * weights / torch.where(total > 1e-12, total, 1.0)
        return weights * losses

    def meta_parameters(self) -> Sequence[Tensor]:
        return list(self.net.parameters())

    def learned(self) -> dict[str, Tensor]:
        """The weight function on losses 0, 0.25, ..., 10."""
        with torch.no_grad():
            grid = torch.linspace(0, 10, 41).to(next(self.net.parameters()))
            return {"weight_function": self.net(grid[:, None]).squeeze(1)}

"""Active bias.

Chang, Learned-Miller & McCallum, "Active bias: training more accurate neural networks by
emphasizing high variance samples", NeurIPS 2017.
"""

import torch
from torch import Tensor, nn

from methods.memory import remember
from methods.objective import Batch, Objective, Outputs, PhaseInfo, cross_entropy
from methods.scalar_loss import Bounded

STATISTICS = ("variance", "closeness")


class ActiveBias(Objective):
    """Cross-entropy weighted by how unsure the model was of each example's label so far.

    Of the history H of p_y over the epochs, `variance` is its standard error of prediction,
    sqrt(var + var^2 / (|H| - 1)) (section 3.2), `closeness` mean (1 - mean), how close p_y is to a
    threshold (section 3.3). epsilon is added to it, and weights have mean 1 in a batch. During the
    first `warmup` of the phase, and before an example was seen twice, weights are 1.
    Memory: 12 bytes an example.
    """

    def __init__(
        self, epsilon: float = 0.2, warmup: float = 0.15, statistic: str = "variance"
    ) -> None:
        super().__init__()
        self.epsilon = Bounded("epsilon", epsilon, 0.0, 1.0)
        self.warmup = Bounded("warmup", warmup, 0.0, 1.0)
        if statistic not in STATISTICS:
            raise ValueError(f"statistic = {statistic!r} must be one of {', '.join(STATISTICS)}")
        self.statistic = statistic

    def bind(self, info: PhaseInfo) -> None:
        # Count, mean and summed squared deviation of p_y (Welford's algorithm).
        self.history = nn.Buffer(torch.zeros((info.rows, 3), device=info.labels.device))

    def unsure(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """Of histories [n, 3] the statistic with epsilon, 0 of those not known, and which are."""
        count, mean, squares = history.unbind(1)
        known = count >= 2
        if self.statistic == "variance":
            variance = squares / count.clamp_min(1)
            spread = (variance + variance**2 / (count - 1).clamp_min(1)).sqrt()
        else:
            spread = mean * (1 - mean)
        return torch.where(known, spread + self.epsilon.value, 0.0), known

    def weights(self, batch: Batch) -> Tensor:
        """Of the batch's examples [B], with mean 1."""
        unsure, known = self.unsure(self.history[batch.index])
        total = unsure.sum()
        scaled = unsure * known.sum() / torch.where(total > 0, total, 1.0)
        plain = ~known | (batch.progress < self.warmup.value) | (total <= 0)
        return torch.where(plain, 1.0, scaled)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        losses = cross_entropy(outputs.logits, batch.y)
        return self.weights(batch).to(losses) * losses

    def after_step(self, outputs: Outputs, losses: Tensor, batch: Batch) -> None:
        p = (batch.y * outputs.logits.softmax(dim=1)).sum(dim=1)
        count, mean, squares = self.history[batch.index].unbind(1)
        step = p - mean
        now = torch.stack([count + 1, mean + step / (count + 1), squares], dim=1)
        now[:, 2] += step * (p - now[:, 1])
        remember(self.history, batch.index, now)

"""Meta soft label correction.

Wu, Shu, Xie, Zhao & Meng, "Learning to purify noisy labels via meta soft label corrector", AAAI
2021.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.memory import remember
from methods.objective import (
    Batch,
    Objective,
    Outputs,
    PhaseInfo,
    PreviousPhase,
    cross_entropy,
    likeliest,
)


class MetaSoftLabels(Objective):
    """w1 CE(y) + (1 - w1) (w2 CE(likeliest of s) + (1 - w2) CE(likeliest of p)).

    s_i is a soft label that an example has, first the prediction of the phase before, then w1 y +
    (1 - w1) (w2 s_i + (1 - w2) p). w1 = V1(CE(y)) and w2 = V2(CE(likeliest of s)), networks 1 -
    hidden - 1 with a sigmoid, learn from the clean loss; their inputs are detached. The published
    code begins with the mean of the last ten epochs' predictions. Memory: 4 K bytes an example, 40
    MB for a million of ten classes.
    """

    def __init__(self, hidden: int = 100) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"hidden = {hidden!r} must be at least 1")
        self.first, self.second = (
            nn.Sequential(nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Sigmoid())
            for _ in range(2)
        )

    def bind(self, info: PhaseInfo) -> None:
        labels = F.one_hot(info.labels.clamp_min(0), info.classes)
        self.soft = nn.Buffer(labels.to(torch.get_default_dtype()))

    def inherit(self, previous: PreviousPhase) -> None:
        pool = previous.predict()
        remember(self.soft, pool.index, previous.objective.predict(pool.outputs))

    def _parts(self, z: Tensor, batch: Batch) -> tuple[Tensor, Tensor, list[Tensor]]:
        """w1 and w2 [B], and the three cross-entropies [B]."""
        soft = self.soft[batch.index].to(batch.y)
        targets = [batch.y, likeliest(soft), likeliest(z.detach())]
        losses = [cross_entropy(z, target) for target in targets]
        nets = (self.first, self.second)
        pairs = zip(nets, losses, strict=False)
        w1, w2 = (net(loss.detach()[:, None]).squeeze(1) for net, loss in pairs)
        return w1, w2, losses

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        w1, w2, (noisy, stored, own) = self._parts(outputs.logits, batch)
        return w1 * noisy + (1 - w1) * (w2 * stored + (1 - w2) * own)

    def after_step(self, outputs: Outputs, losses: Tensor, batch: Batch) -> None:
        w1, w2, _ = self._parts(outputs.logits, batch)
        p, soft = outputs.logits.softmax(dim=1), self.soft[batch.index].to(batch.y)
        mixed = p.lerp(soft, w2[:, None]).lerp(batch.y, w1[:, None])
        remember(self.soft, batch.index, mixed)

    def meta_parameters(self) -> Sequence[Tensor]:
        return [*self.first.parameters(), *self.second.parameters()]

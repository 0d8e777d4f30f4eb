"""Self-paced learning, and the family of its weights.

Kumar, Packer & Koller, "Self-paced learning for latent variable models", NIPS 2010 (hard); Jiang et
al., "Self-paced learning with diversity", NIPS 2014, and "Self-paced curriculum learning", AAAI
2015 (linear, logarithmic); Zhao et al., "Self-paced learning for matrix factorization", AAAI 2015
(mixture); Gong et al., IEEE TEVC 2019 (polynomial).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from methods.memory import remember
from methods.objective import Batch, Outputs, PhaseInfo, Predict, cross_entropy
from methods.scalar_loss import Bounded
from methods.weighting.by_loss import WeightedByLoss

#: v*(r) = argmin_v v r + f(v) over [0, 1], with r the loss in units of the threshold.
FORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "hard": lambda r: (r < 1).to(r),
    "linear": lambda r: (1 - r).clamp_min(0),
    # f(v) = zeta v - zeta^v / ln zeta with zeta = 1/2, of losses in units of twice the threshold.
    "logarithmic": lambda r: (-((r + 1) / 2).log() / math.log(2)).clamp_min(0),
    # gamma = lambda: 1 up to a quarter of the threshold.
    "mixture": lambda r: (r.clamp_min(1e-12).rsqrt() - 1).clamp(0, 1),
    # d = 3.
    "polynomial": lambda r: (1 - r).clamp_min(0).sqrt(),
}


class SelfPaced(WeightedByLoss):
    """Cross-entropy on easy examples first: weights v*(l_i / lambda), scaled to mean 1.

    lambda is the quantile of the last losses of all examples at a share that rises from `first` to
    `last` over the first `ramp` of the phase; it is set at the beginning of an epoch. Until an
    epoch has been seen, weights are 1. (The paper multiplies lambda by 1.3 a round, from where half
    of the examples count; `last` = 1 - the rate of wrong labels is the natural end.)
    per_class: a quantile for each observed class, without which rare classes wait longest.
    Memory: 12 bytes an example.
    """

    def __init__(
        self,
        first: float = 0.5,
        last: float = 0.75,
        ramp: float = 0.5,
        form: str = "hard",
        per_class: bool = False,
    ) -> None:
        super().__init__()
        self.first = Bounded("first", first, 0.0, 1.0)
        self.last = Bounded("last", last, 0.0, 1.0)
        self.ramp = Bounded("ramp", ramp, 0.0, 1.0)
        if form not in FORMS:
            raise ValueError(f"form = {form!r} must be one of {', '.join(FORMS)}")
        self.form, self.per_class = form, per_class

    def bind(self, info: PhaseInfo) -> None:
        self.epochs, device = info.epochs, info.labels.device
        labels = info.labels if self.per_class else info.labels.clamp_max(0)
        self.group = nn.Buffer(labels.clamp_min(0))
        self.losses = nn.Buffer(torch.full((info.rows,), torch.nan, device=device))
        groups = info.classes if self.per_class else 1
        self.thresholds = nn.Buffer(torch.full((groups,), torch.inf, device=device))

    def share(self, epoch: int) -> float:
        """Of the examples that count in an epoch, were weights hard."""
        ramp = self.ramp.value * self.epochs
        risen = min(epoch / ramp, 1.0) if ramp else 1.0
        return self.first.value + (self.last.value - self.first.value) * risen

    def begin_epoch(self, epoch: int, predict: Predict) -> None:
        for group in range(len(self.thresholds)):
            known = self.losses[(self.group == group) & self.losses.isfinite()]
            if len(known):
                self.thresholds[group] = known.quantile(self.share(epoch)).clamp_min(1e-12)

    def weights(self, losses: Tensor, batch: Batch) -> Tensor:
        return FORMS[self.form](losses / self.thresholds[self.group[batch.index]].to(losses))

    def after_step(self, outputs: Outputs, losses: Tensor, batch: Batch) -> None:
        remember(self.losses, batch.index, cross_entropy(outputs.logits, batch.y))

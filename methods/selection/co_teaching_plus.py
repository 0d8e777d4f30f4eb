"""Co-teaching where two networks disagree.

Yu et al., "How does disagreement help generalization against label corruption?", ICML 2019.
"""

import torch
from torch import Tensor

from methods.noise_rate import Rate
from methods.objective import Batch, Outputs, cross_entropy
from methods.scalar_loss import Bounded
from methods.selection.co_teaching import CoTeaching
from methods.selection.small_loss import share_left_out


class CoTeachingPlus(CoTeaching):
    """After the share `init` of the phase, co-teaching among the examples with two predictions.

    Before it, co-teaching among all, as in the authors' code; after it, where all agree,
    cross-entropy on the whole batch for each network. rate and ramp as for `CoTeaching`, init 20 of
    200 epochs on CIFAR-10. The published code takes the cross-entropy of a softmax's softmax, never
    counts the first example as disagreed on, and where all agree learns nothing once epoch times
    batch has passed 5,000: not here.
    """

    def __init__(self, rate: Rate = 0.2, ramp: float = 0.05, init: float = 0.1) -> None:
        super().__init__(rate, ramp)
        self.init = Bounded("init", init, 0.0, 1.0)

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        one, two = outputs.each()
        own, other = (cross_entropy(each.logits, batch.y) for each in (one, two))
        disagreed = one.logits.argmax(dim=1) != two.logits.argmax(dim=1)
        candidates = disagreed | (batch.progress < self.init.value)
        left_out = share_left_out(self.rate.value, self.ramp.value, batch.progress)
        chosen = [smallest_among(x.detach(), candidates, left_out) for x in (own, other)]
        by_own, by_other = (torch.where(candidates.any(), weights, 1.0) for weights in chosen)
        return by_other * own + by_own * other


def smallest_among(losses: Tensor, candidates: Tensor, left_out: Tensor) -> Tensor:
    """Weights [B] with mean 1: equal on the smallest losses of the candidates, 0 elsewhere."""
    number = candidates.sum()
    kept = ((1 - left_out) * number).floor().clamp_min(1)
    rank = torch.where(candidates, losses, torch.inf).argsort(stable=True).argsort()
    return ((rank < kept) & candidates) * (len(losses) / kept)

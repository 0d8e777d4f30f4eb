"""A weight function of a few numbers, learned from the clean loss.

After Li et al., "AM-LFS: AutoML for loss function search", ICCV 2019, which samples such functions;
by hypergradient, as Meta-Weight-Net learns its own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.objective import Batch
from methods.weighting.by_loss import WeightedByLoss


class PiecewiseWeights(WeightedByLoss):
    """w(exp(-CE_i)) CE_i with w piecewise linear on `knots` equal steps of p_y, mean 1 in a batch.

    w is positive at every knot (softplus), and 1 at first: cross-entropy. The smallest of the
    learned weight functions: w = p^q at the knots would be generalized cross-entropy's weights.
    """

    def __init__(self, knots: int = 6) -> None:
        super().__init__()
        if knots < 2:
            raise ValueError(f"knots = {knots!r} must be at least 2")
        self.raw = nn.Parameter(torch.full((knots,), 1.0).expm1().log())

    def at(self, p: Tensor) -> Tensor:
        """The function at probabilities of any shape."""
        heights = F.softplus(self.raw)
        place = p.clamp(0, 1) * (len(heights) - 1)
        low = place.floor().clamp_max(len(heights) - 2)
        left = low.long()
        return heights[left].lerp(heights[left + 1], (place - low).to(heights))

    def weights(self, losses: Tensor, batch: Batch) -> Tensor:
        return self.at((-losses).exp())

    def meta_parameters(self) -> Sequence[Tensor]:
        return [self.raw]

    def learned(self) -> dict[str, Tensor]:
        """The weight function on losses 0, 0.25, ..., 10."""
        grid = torch.linspace(0, 10, 41).to(self.raw)
        return {"weight_function": self.at((-grid).exp()).detach()}

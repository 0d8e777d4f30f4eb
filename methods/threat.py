"""What an adversary may do to an input, and the worst of it that gradients find.

Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Norm = Literal["linf", "l2"]


@dataclass(frozen=True)
class Threat:
    """A ball around each normalised input, cut off where the data's range ends.

    epsilon: its radius, by the norm, in the units in which people state it: the range of a pixel,
    or the standard deviation of a table's feature. unit: one of them, normalised; low, high: ends
    of the range, normalised; each [C, 1, 1] or [D].
    """

    epsilon: float
    norm: Norm
    unit: Tensor
    low: Tensor
    high: Tensor

    def random(self, x: Tensor, gen: torch.Generator) -> Tensor:
        """A perturbation of each of x [B, ...], in units, to start from; drawn on the CPU.

        linf: uniform in the ball. l2: a direction, and a length that is uniform in [0, epsilon].
        """
        if self.norm == "linf":
            drawn = 2 * torch.rand(x.shape, generator=gen) - 1
        else:
            drawn = _direction(torch.randn(x.shape, generator=gen))
            drawn = drawn * torch.rand(_each(x), generator=gen)
        return (self.epsilon * drawn).to(x)

    def ascend(
        self,
        x: Tensor,
        loss: Callable[[Tensor], Tensor],
        step: float,
        steps: int,
        start: Tensor | None = None,
    ) -> Tensor:
        """Inputs [B, ...] of higher loss: steps along its gradient, each projected on the threat.

        loss: of inputs, summed over them; step: of each, in units, along the sign of the gradient
        (linf) or along it (l2); start: a perturbation in units, none by default.

        Raises:
            ValueError: the loss has no gradient in the inputs.
        """
        ends = (self.low - x) / self.unit, (self.high - x) / self.unit
        delta = self._inside(torch.zeros_like(x) if start is None else start, ends)
        for _ in range(steps):
            moved = (x + self.unit * delta).detach().requires_grad_()
            delta = self._inside(delta + step * self.uphill(_slope(loss, moved)), ends)
        return x + self.unit * delta

    def uphill(self, slope: Tensor) -> Tensor:
        """The way, in units, in which a loss rises that has this gradient [B, ...] in the inputs.

        linf: of length 1 in each entry; l2: of length 1.
        """
        slope = slope * self.unit
        return slope.sign() if self.norm == "linf" else _direction(slope)

    def in_ball(self, delta: Tensor) -> Tensor:
        """The nearest perturbations of no more than epsilon; delta [B, ...] in units."""
        if self.norm == "linf":
            return delta.clamp(-self.epsilon, self.epsilon)
        return delta * (self.epsilon / _length(delta).clamp_min(1e-12)).clamp_max(1)

    def perturbed(self, x: Tensor, delta: Tensor) -> Tensor:
        """Inputs x [B, ...] moved by delta, cut off where the data's range ends."""
        return torch.clamp(x + self.unit * delta, self.low, self.high)

    def _inside(self, delta: Tensor, ends: tuple[Tensor, Tensor]) -> Tensor:
        """The nearest in the ball, then in the range; that leaves none of them farther out."""
        return self.in_ball(delta).clamp(*ends)


def _slope(loss: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.enable_grad():
        value = loss(x)
    (slope,) = torch.autograd.grad(value, x, allow_unused=True) if value.requires_grad else (None,)
    if slope is None:
        raise ValueError("an attack needs a gradient in the inputs, and the model gives none")
    return slope


def _each(x: Tensor) -> tuple[int, ...]:
    """The shape of one number for each example."""
    return (len(x), *[1] * (x.dim() - 1))


def _length(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1).view(_each(x))


def _direction(x: Tensor) -> Tensor:
    return x / _length(x).clamp_min(1e-12)

"""Mixtures of two examples in the place of each: mixup and CutMix.

Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018; Yun et al., "CutMix:
regularization strategy to train strong classifiers with localizable features", ICCV 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from methods.objective import Batch, Key, generator
from pipelines.errors import UserError


class Mixture(NamedTuple):
    """How the examples of a batch are mixed.

    partner [B]: the place of the other one; share in [1/2, 1]: of the example itself, in its label;
    others: where an image [H, W] is the other one's, of CutMix.
    """

    partner: Tensor
    share: float
    others: Tensor | None = None

    def inputs(self, x: Tensor) -> Tensor:
        """Of examples x [B, ...]."""
        if self.others is None:
            return self.labels(x)
        return torch.where(self.others, x[self.partner], x)

    def labels(self, y: Tensor) -> Tensor:
        """Of label distributions y [B, K]."""
        return y[self.partner].lerp(y, self.share)


def mixture(how: str, batch: Batch, key: Key) -> Mixture:
    """One share, or one box, for all of a batch, as published: Beta(1, 1).

    How many examples have a share is the same whichever of two is called the example itself: here
    the one with the larger. Trusted ones are mixed with trusted ones, and the others with others.
    """
    gen = generator(*key, "mix")
    partner = _partners(batch.trusted, torch.rand(len(batch.y), generator=gen))
    share = torch.rand((), generator=gen).item()
    if how == "mixup":
        return Mixture(partner, max(share, 1 - share))
    others = _box(batch.x.shape[2:], share, torch.rand(2, generator=gen).tolist())
    share = 1 - others.float().mean().item()
    if share < 0.5:
        share, others = 1 - share, ~others
    return Mixture(partner, share, others.to(batch.x.device))


def _partners(trusted: Tensor, draws: Tensor) -> Tensor:
    """The next of its kind in a random order; of the last one, itself."""
    order = (draws.to(trusted.device) + trusted).argsort()
    partner = torch.empty_like(order).scatter_(0, order, order.roll(-1))
    itself = torch.arange(len(order), device=order.device)
    return torch.where(trusted[partner] == trusted, partner, itself)


def _box(size: torch.Size, share: float, centre: list[float]) -> Tensor:
    """A box [H, W] about a centre in [0, 1)^2, of 1 - share of the image but for what sticks out.

    Equation 2 of CutMix.
    """
    inside = torch.ones(size, dtype=torch.bool)
    for axis, (length, place) in enumerate(zip(size, centre, strict=True)):
        middle, half = int(place * length), int(length * math.sqrt(1 - share)) // 2
        at = torch.arange(length)
        within = (at >= middle - half) & (at < middle + half)
        inside &= within[:, None] if axis == 0 else within
    return inside


class Mixing:
    """Mixes the batches of a method, which may not read of which row an example is.

    how: mixup or cutmix; method: its path, for messages.
    """

    def __init__(self, how: str, method: str) -> None:
        self.how, self.method = how, method

    def __call__(self, batch: Batch, key: Key) -> Batch:
        """The batch with mixtures in the place of its examples, also of those augmented anew."""
        drawn = mixture(self.how, batch, key)
        index = batch.index.as_subclass(_OfTwo)
        index.reader = f"augment = {self.how!r}: {self.method}"
        return replace(
            batch,
            x=drawn.inputs(batch.x),
            y=drawn.labels(batch.y),
            index=index,
            augment=_then(batch.augment, drawn.inputs),
        )


def _then(
    augment: Callable[[int], Tensor] | None, mix: Callable[[Tensor], Tensor]
) -> Callable[[int], Tensor] | None:
    return None if augment is None else lambda number: mix(augment(number))


class _OfTwo(Tensor):
    """Rows of examples that are mixtures; a method that reads them is refused."""

    reader = ""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Nothing is computed."""
        [reader, *_] = [a.reader for a in tree_leaves((args, kwargs)) if isinstance(a, _OfTwo)]
        raise UserError(
            f"{reader} goes by which training example is which, and a mixture is two of them; "
            "leave out the arm, or the mixing"
        )


def with_rows(batch: Batch) -> Batch:
    """A batch of which rows may be read: of mixtures, of the example with the larger share."""
    if not isinstance(batch.index, _OfTwo):
        return batch
    with torch._C.DisableTorchFunctionSubclass():
        return replace(batch, index=batch.index.as_subclass(Tensor))

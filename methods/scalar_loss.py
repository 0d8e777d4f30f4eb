"""Losses whose hyperparameters are scalars: constants, or learned from the clean loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.objective import Objective, PhaseInfo, Predict, PreviousPhase

#: True: from the clean loss; or as the phase before has learned it: its last value, or its path.
Learn = bool | Literal["frozen", "replay"]


class Bounded(nn.Module):
    """A hyperparameter: a constant, or a learnable scalar that cannot leave (low, high).

    Learned values are low + (high - low) * sigmoid(raw), or low + softplus(raw) where high is
    infinite. Those of a phase before, `frozen` or `replay`, change between epochs only.

    Raises:
        ValueError: the value lies outside [low, high]; a learned one must lie strictly inside.
    """

    def __init__(
        self, name: str, value: float, low: float, high: float = math.inf, learn: Learn = False
    ) -> None:
        super().__init__()
        if learn not in (True, False, "frozen", "replay"):
            raise ValueError(f"learn = {learn!r} must be true, false, 'frozen' or 'replay'")
        inside = low < value < high if learn else low <= value <= high
        if not inside:
            ends = f"({low}, {high})" if learn else f"[{low}, {high}]"
            raise ValueError(f"{name} = {value!r} must lie in {ends}")
        self.name, self.learn = name, learn is True
        self.follows = learn if isinstance(learn, str) else None
        self.value, self.low, self.high = float(value), low, high
        if self.follows:
            self.now = nn.Buffer(torch.tensor(self.value))
        if self.learn:
            self.raw = nn.Parameter(torch.tensor(self._inverse(), dtype=torch.get_default_dtype()))

    def _inverse(self) -> float:
        if math.isinf(self.high):
            return math.log(math.expm1(self.value - self.low))
        share = (self.value - self.low) / (self.high - self.low)
        return math.log(share / (1 - share))

    def bind(self, epochs: int, device: torch.device) -> None:
        """Make room for the path that is followed in a phase of that many epochs."""
        if self.follows:
            self.path = nn.Buffer(torch.full((epochs,), self.value, device=device))

    def inherit(self, learned: dict[str, Tensor]) -> None:
        """Follow the path of this name, stretched to the phase's length, or its last value."""
        if not self.follows:
            return
        if self.name not in learned:
            raise ValueError(
                f"learn = {self.follows!r}: the phase before has learned no {self.name}"
            )
        path, places = learned[self.name], torch.arange(len(self.path))
        last = places.new_full(places.shape, len(path) - 1)
        chosen = last if self.follows == "frozen" else places * len(path) // len(places)
        self.path.copy_(path[chosen])

    def begin_epoch(self, epoch: int) -> None:
        """Take the value of an epoch, where one is followed."""
        if self.follows:
            self.now.copy_(self.path[epoch])

    def forward(self) -> Tensor | float:
        """The value: a float, or a scalar tensor that carries the gradient to `raw`."""
        if self.follows:
            return self.now
        if not self.learn:
            return self.value
        if math.isinf(self.high):
            return self.low + F.softplus(self.raw)
        return self.low + (self.high - self.low) * self.raw.sigmoid()


class ScalarLoss(Objective):
    """An objective whose hyperparameters are Bounded, and learn where these say so."""

    def hyperparameters(self) -> list[Bounded]:
        """The Bounded members, in order of definition."""
        return [module for module in self.children() if isinstance(module, Bounded)]

    def meta_parameters(self) -> Sequence[Tensor]:
        return [bounded.raw for bounded in self.hyperparameters() if bounded.learn]

    def bind(self, info: PhaseInfo) -> None:
        for bounded in self.hyperparameters():
            bounded.bind(info.epochs, info.labels.device)

    def inherit(self, previous: PreviousPhase) -> None:
        for bounded in self.hyperparameters():
            bounded.inherit(previous.learned)

    def begin_epoch(self, epoch: int, predict: Predict) -> None:
        for bounded in self.hyperparameters():
            bounded.begin_epoch(epoch)

    def learned(self) -> dict[str, Tensor]:
        shown = [b for b in self.hyperparameters() if b.learn or b.follows]
        return {b.name: torch.as_tensor(b()).detach() for b in shown}

"""The rate of wrong labels that a method is told: a guess, or what an oracle knows."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from methods.objective import PhaseInfo
from methods.scalar_loss import Bounded

MEASURED = "measured"
Rate = float | Literal["measured"]


class NoiseRate(nn.Module):
    """A number in [low, high]; or `measured`, the share of wrong labels among those trained on.

    Of what is measured `value` is a buffer, which `bind` fills from the true labels: a method with
    it is an oracle. Without truth, as where a trained model is loaded, it stays 0.

    Raises:
        ValueError: the value is neither, or lies outside [low, high].
    """

    value: float | Tensor

    def __init__(self, name: str, value: Rate, low: float, high: float) -> None:
        super().__init__()
        self.measured = value == MEASURED
        if isinstance(value, str):
            if not self.measured:
                raise ValueError(f"{name} = {value!r} must be a number, or {MEASURED!r}")
            self.value = nn.Buffer(torch.zeros(()))
        else:
            self.value = Bounded(name, value, low, high).value

    def bind(self, info: PhaseInfo) -> None:
        """Measure, where that is what it is, and the truth is known."""
        if self.measured and info.truth is not None:
            wrong = (info.labels != info.truth)[info.labels >= 0]
            self.value = nn.Buffer(wrong.float().mean())

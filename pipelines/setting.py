"""How a launch runs its trials; none of it changes a number by more than rounding. Imports nothing
that takes time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal

from pipelines.errors import UserError

Gpus = float | Literal["auto"]  # of a trial; auto: a probe proposes it (pipelines/probe.py)
FINEST = 10_000  # parts into which Ray divides a GPU


@dataclass(frozen=True)
class FastPaths:
    """What makes a training step fast; without any of it a trial computes the same, to rounding.

    channels_last: order of memory in which convolutions run faster; cuda_graph: steps are recorded
    and replayed (on a GPU); fused: optimizers move all parameters in one kernel; gather: crops and
    flips of a batch are one gather.
    """

    channels_last: bool = True
    cuda_graph: bool = True
    fused: bool = True
    gather: bool = True

    @classmethod
    def without(cls, names: Iterable[str]) -> FastPaths:
        """All but these.

        Raises:
            UserError: one of the names is unknown.
        """
        names, known = list(names), [field.name for field in fields(cls)]
        for name in names:
            if name not in known:
                raise UserError(f"--without {name!r}: must be among {', '.join(known)}")
        return cls(**dict.fromkeys(names, False))

    def left_out(self) -> list[str]:
        """The names of those that are off."""
        return [name for name, on in vars(self).items() if not on]


ALL_FAST = FastPaths()


@dataclass(frozen=True)
class Setting:
    """What all trials of a launch have in common; travels to every worker."""

    storage: str
    study: str
    protocol: dict[str, Any]
    device: str
    tracking: Literal["online", "offline", "disabled"]
    tracking_dir: str
    commit: str | None  # of the driver's code; workers may have a copy without its history
    checkpoint_seconds: float = 60.0
    fast: FastPaths = ALL_FAST


@dataclass(frozen=True)
class Resources:
    """What one trial takes, and how many run at once (None: as many as fit)."""

    cpus: float = 1.0
    gpus: Gpus = 0.0
    concurrent: int | None = None


@dataclass(frozen=True)
class Question:
    """For `doctor`: what a machine is asked: whether it sees `marker` in `storage`, and answers
    from `url`.
    """

    storage: str | None = None
    marker: str | None = None
    url: str | None = None


def parse_gpus(text: str) -> Gpus:
    """GPUs per trial, as a person writes them.

    Raises:
        UserError: neither auto nor an amount that Ray knows.
    """
    if text == "auto":
        return "auto"
    try:
        gpus = float(text)
    except ValueError:
        gpus = math.nan
    if not (gpus == 0 or 1 / FINEST <= gpus <= 1 or (gpus > 1 and gpus.is_integer())):
        raise UserError(
            f"--gpus-per-trial {text!r}: must be auto, 0, a fraction of a GPU (at least "
            f"{1 / FINEST}), or a whole number"
        )
    return gpus

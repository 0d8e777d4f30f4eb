"""How many trials share a GPU, and the limit that each keeps to.

Arithmetic on what a probe measured (execution/probe.py). See docs/performance.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import ceil
from statistics import mean
from typing import TYPE_CHECKING, Literal, NamedTuple

from pipelines.errors import UserError

if TYPE_CHECKING:  # it loads torch
    from pipelines.study.training_spec import TrainingSpec

SPARE = 1.15  # fragmentation, and configurations that take more than the default one
CONTEXT_BYTES = 600 * 2**20  # what CUDA takes for each process beside its tensors
USABLE = 0.95  # of the device: the rest is the driver's and the desktop's
GIB = 2**30
FINEST = 10_000  # parts into which Ray divides a GPU
MOST_GPUS = 64  # of one machine
Gpus = float | Literal["auto"]  # of a trial; auto: a probe proposes it

ProbeSpecs = dict[str, "list[TrainingSpec]"]  # what is measured of each arm


@dataclass(frozen=True)
class Cost:
    """What an arm takes.

    peak: bytes allocated at most; seconds: per step; busy: of these, the fraction in which the GPU
    computes, None if the profiler saw nothing.
    """

    arm: str
    peak: int
    seconds: float
    busy: float | None


class Probed(NamedTuple):
    """What a probe measured.

    costs: of each arm's phases; total: bytes of the GPU; unmeasured: in a line each, why an arm
    could not be measured.
    """

    costs: list[Cost]
    total: int
    unmeasured: list[str]


@dataclass(frozen=True)
class Packing:
    """How many trials memory, CPU cores and speed would let share a GPU, and how many do.

    speed: None if it is unknown.
    """

    memory: int
    cores: int
    speed: int | None

    @property
    def trials(self) -> int:
        """At least one: a trial that does not fit says so itself."""
        return max(1, min(self.memory, self.cores, self.speed or self.cores))

    @property
    def gpus(self) -> float:
        """What one trial asks of Ray."""
        return _share_of(self.trials)


def pack(costs: list[Cost], total: int, cores: int) -> Packing:
    """As many trials on a GPU as its memory holds, as CPU cores feed, and as keep it busy.

    The hungriest arm decides on memory, the arms' mean on speed: trials of all arms run at once.
    total: bytes of the GPU; cores: how many trials have CPU cores, per GPU.

    Raises:
        UserError: the hungriest arm does not even fit alone.
    """
    hungriest = max(costs, key=lambda cost: cost.peak)
    if hungriest.peak >= total:
        raise UserError(
            f"arm {hungriest.arm!r} does not fit on the GPU of {total / GIB:.1f} GiB: use a "
            "smaller schedule.batch_size or meta.batch_size"
        )
    need = hungriest.peak * SPARE + CONTEXT_BYTES
    busy = _busy(costs)
    return Packing(int(total * USABLE / need), cores, None if busy is None else ceil(1 / busy))


def described(costs: list[Cost], total: int, packing: Packing) -> str:
    """What was measured and what follows, in one line."""
    hungriest = max(costs, key=lambda cost: cost.peak)
    busy, seconds = _busy(costs), mean(cost.seconds for cost in costs)
    share = "an unknown part" if busy is None else f"{busy:.0%}"
    speed = "" if packing.speed is None else f", speed for {packing.speed}"
    return (
        f"GPU: {hungriest.arm} takes most memory, {hungriest.peak / GIB:.2f} of "
        f"{total / GIB:.1f} GiB; a step takes {1000 * seconds:.1f} ms, {share} of it on the GPU. "
        f"Trials per GPU: {packing.trials} (memory would do for {packing.memory}, CPU cores for "
        f"{packing.cores}{speed}). The same by hand: --gpus-per-trial {packing.gpus:g}"
    )


def grown(gpus: float) -> float:
    """Twice a share of a GPU, at most all of it; no GPU, and whole ones, stay as they are."""
    return min(1.0, 2 * gpus) if 0 < gpus < 1 else gpus


def spread(gpus: float, trials: int, whole: int) -> float:
    """The share of a GPU that the next of so many trials takes, of which one was to take `gpus`.

    Ray fills a GPU with shares before it takes the next one, and offers no other way. So where
    there are too few trials to fill all GPUs, each takes what keeps the others off: as much as all
    of them can have. trials: to come, and running; they only get fewer, so that each finds its
    share free. whole: GPUs that the launch may fill; where that is one, or 0, not known, nothing
    changes: no other GPU idles, and a worker of another size is another process.
    """
    if not (0 < gpus < 1 and trials and whole > 1):
        return gpus
    return max(gpus, _share_of(ceil(trials / whole)))


def memory_fraction(gpus: float, total: int) -> float:
    """The part of a GPU's memory that a trial with this share may allocate, beside its context.

    Raises:
        UserError: nothing is left of the share.
    """
    fraction = gpus * USABLE - CONTEXT_BYTES / total
    if fraction <= 0:
        raise UserError(
            f"--gpus-per-trial {gpus:g}: of a GPU of {total / GIB:.1f} GiB that is less than "
            f"CUDA itself takes, {CONTEXT_BYTES / GIB:.1f} GiB: give more"
        )
    return fraction


def processes_on(gpus: float) -> int:
    """Processes that compute a trial with so many GPUs: one on each, or the one on its share."""
    return max(1, int(gpus))


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
    if not (gpus == 0 or 1 / FINEST <= gpus <= 1 or gpus in range(2, MOST_GPUS + 1)):
        raise UserError(
            f"--gpus-per-trial {text!r}: must be auto, 0, a fraction of a GPU (at least "
            f"{1 / FINEST}), or a whole number of GPUs of one machine, 1 to {MOST_GPUS}"
        )
    return gpus


def _share_of(trials: int) -> float:
    """Of a GPU for so many, rounded down to what Ray knows."""
    return int(FINEST / trials) / FINEST


def _busy(costs: list[Cost]) -> float | None:
    known = [cost.busy for cost in costs if cost.busy]
    return min(1.0, mean(known)) if known else None

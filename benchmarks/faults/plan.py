"""Which faults are dealt, in which order."""

from __future__ import annotations

import random
from itertools import cycle
from typing import NamedTuple

FILES = 4  # of a study, no two of one trial, are damaged together and judged one by one
#: Kinds of faults and how many of 300 are of each. A kind's first word is what deals it.
KINDS = {
    "file, finished study": 76,
    "file, unfinished study": 60,
    "file, finished study, s3": 28,
    "file, unfinished study, s3": 24,
    "process, signal": 32,
    "process, two signals": 8,
    "process, as a user starts it": 6,
    "ray, worker": 3,
    "ray, raylet": 2,
    "ray, driver": 2,
    "ray, all": 3,
    "disk, full": 10,
    "disk, read-only": 6,
    "launches, two at once": 6,
    "launches, stopped and taken over": 6,
    "launches, clock jumps": 4,
    "store, errors 500 and 503": 6,
    "store, slow": 3,
    "store, connections reset": 6,
    "store, acknowledgements lost": 6,
    "store, away": 3,
}


class Fault(NamedTuple):
    """One fault of the schedule; all that is random about it comes from `rng`."""

    number: int
    kind: str
    seed: int

    @property
    def rng(self) -> random.Random:
        """The same for the same fault."""
        return random.Random(f"{self.seed} {self.number}")

    @property
    def count(self) -> int:
        """How many faults it is: of files, several."""
        return FILES if self.kind.startswith("file") else 1

    @property
    def s3(self) -> bool:
        """Whether the study lies in an object store."""
        return self.kind.endswith("s3") or self.kind.startswith("store")


def schedule(faults: int, seed: int, only: list[str] | None = None) -> list[Fault]:
    """So many faults, shuffled; kinds are as frequent as `KINDS` says.

    only: those of which kind or first word are among these.
    """
    kinds = [
        kind
        for kind, times in KINDS.items()
        for _ in range(times // Fault(0, kind, seed).count)
        if not only or {kind, kind.partition(",")[0]} & {*only}
    ]
    random.Random(seed).shuffle(kinds)
    chosen: list[Fault] = []
    for number, kind in enumerate(cycle(kinds)):
        if sum(fault.count for fault in chosen) >= faults:
            break
        chosen.append(Fault(number, kind, seed))
    return chosen

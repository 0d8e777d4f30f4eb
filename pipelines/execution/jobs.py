"""What an executor and a job queue tell each other, in one process or over a line between two.

Imports nothing that takes time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from pipelines.ledger.attempt import Failure
from pipelines.ledger.record import TrialRecord
from pipelines.trial_documents import Rung, TrialSpec

OnEnd = Callable[[TrialRecord], None]  # is told of each trial that ended
#: What an attempt without an outcome was lost with; unseen: it has one, which is not to be seen.
FailureCause = Literal["node", "memory", "worker", "unseen"]
#: Or what its worker could not write down.
Lost = FailureCause | Failure


class Job(NamedTuple):
    """An attempt to run: the trial's spec, the attempt's number, and the GPUs that it takes.

    rung: where it is to stop for now; None: at the trial's end.
    """

    spec: TrialSpec
    attempt: int
    gpus: float
    rung: Rung | None = None


class ArmCounts(NamedTuple):
    """How an arm stands: trials that are planned, that ended, and those of them that failed.

    A trial with two roles counts twice among those planned and done. attempts: that this launch has
    begun. passes: of all trials that ended.
    """

    planned: int
    done: int
    failed: int
    attempts: int
    passes: int


class Jobs(Protocol):
    """What an executor needs of a job queue, near or far."""

    def next(self, gpus: float = 0.0, whole: int = 0) -> Job | None:
        """See `JobQueue.next`."""
        ...

    def ended(self, key: str, lost: Lost | None = None) -> TrialRecord | None:
        """See `JobQueue.ended`."""
        ...

    @property
    def finished(self) -> bool:
        """See `JobQueue.finished`."""
        ...

    def counts(self) -> dict[str, ArmCounts]:
        """See `JobQueue.counts`."""
        ...

"""What the ledger knows about one trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipelines.documents import Json
from pipelines.ledger.layout import Versions
from pipelines.trial_documents import TrialResult, TrialSpec

State = Literal["planned", "started", "stopped", "failed", "completed", "diverged"]


@dataclass(frozen=True)
class TrialRecord:
    """One trial as its files are now; `attempts` is the number of its newest attempt.

    stopped: of the newest attempt, if it was stopped early: its epoch, why, rows, cost, provenance.
    """

    key: str
    spec: TrialSpec
    result: TrialResult | None
    error: Json | None  # of the newest attempt
    attempts: int
    history_path: str | None
    conflicts: int  # attempts that came to another result
    steps: int  # done at the furthest checkpoint
    versions: Versions
    stopped: Json | None = None

    @property
    def state(self) -> State:
        """`started` is an attempt without an outcome: running, or interrupted.

        `stopped`: at a rung, for good or until it is known to go on.
        """
        if self.result is not None:
            return "diverged" if self.result.get("status") == "diverged" else "completed"
        if self.error is not None:
            return "failed"
        if self.stopped is not None:
            return "stopped"
        return "started" if self.attempts else "planned"

"""The second aim of a search, beside val: what its trials have of it, and how both are compared."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Literal

from pipelines.ledger.record import TrialRecord
from pipelines.metrics import METRICS, PASSES
from pipelines.planning.specs import Ended, Searched
from pipelines.study.protocol import Protocol
from pipelines.trial_documents import HistoryRow

Direction = Literal["maximize", "minimize"]
Values = tuple[float, ...]


def directions(second_aim: str | None) -> list[Direction]:
    """Of val and, where there is one, of the second aim; in Optuna's words."""
    if second_aim is None:
        return ["maximize"]
    return ["maximize", "minimize" if second_aim == PASSES else "maximize"]


def scores_on_val(
    trial: TrialRecord, rows: Sequence[HistoryRow], protocol: Protocol
) -> dict[str, float]:
    """Of the epoch whose weights count, by metric; none unless it has completed.

    rows: of the trial's history; without them nothing is known.
    """
    if trial.state != "completed" or trial.result is None or not rows:
        return {}
    last = protocol.epoch == "last"
    number = rows[-1]["epoch"] if last else trial.result.get("selected_epoch")
    row = next((row for row in rows if row["epoch"] == number), {})
    values = {name: row.get(f"val/{name}") for name in METRICS}
    return {name: METRICS[name].score(v) for name, v in values.items() if v is not None}


def second_of(
    trial: TrialRecord, rows: Sequence[HistoryRow], protocol: Protocol, second_aim: str | None
) -> float | None:
    """A trial's value of the second aim, of a metric its score; None unless it has completed.

    rows: of its history; passes need none.
    """
    if second_aim == PASSES and trial.state == "completed" and trial.result is not None:
        return float(trial.result["passes"])
    return scores_on_val(trial, rows, protocol).get(second_aim) if second_aim else None


def values_of(searched: Searched, second_aim: str | None) -> dict[int, Values | None]:
    """What the trials of a search are compared by; None of those that failed, or have no val.

    One that diverged has the worst score on val, and no better second value than any other: else it
    would be a run that costs little.
    """
    seen = [trial.second for trial in searched.values() if trial.second is not None]
    worst = (max if second_aim == PASSES else min)(seen, default=0.0)

    def of(trial: Ended) -> Values | None:
        if trial.score is None or isnan(trial.score):
            return None
        second = worst if trial.second is None else trial.second
        return (trial.score, second) if second_aim else (trial.score,)

    return {index: of(trial) for index, trial in searched.items()}

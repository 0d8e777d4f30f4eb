"""A planner that knows what the ledger holds."""

from __future__ import annotations

import math
from collections.abc import Collection

from pipelines.ledger.record import TrialRecord
from pipelines.planning.planner import Planner
from pipelines.study.protocol import Protocol
from pipelines.study.study_file import Study


def score_of(trial: TrialRecord, protocol: Protocol) -> float | None:
    """A finished trial's score on val under the study's epoch rule.

    nan if it has no val, None if it failed.
    """
    if trial.result is None:
        return None
    val = trial.result["val"]
    return math.nan if val is None else val[protocol.epoch]


def plan(
    study: Study, protocol: str, trials: dict[str, TrialRecord], again: Collection[str] = ()
) -> Planner:
    """A planner that knows what the ledger holds.

    again: keys of trials that count as not finished.
    """
    outcomes = {
        key: score_of(trial, study.protocol)
        for key, trial in trials.items()
        if trial.state in ("completed", "diverged", "failed") and key not in again
    }
    suggested = {
        (s["scenario"], s["arm"], s["repeat"], s["index"], s["space"]): s["config"]
        for s in (trial.spec for trial in trials.values())
        if s["role"] == "search"
    }
    return Planner(study, protocol, outcomes, suggested)

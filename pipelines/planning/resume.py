"""A planner that knows what the ledger holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import accumulate

from pipelines.analysis.record import Course
from pipelines.ledger.record import TrialRecord
from pipelines.metrics import METRICS, PASSES
from pipelines.planning.assignments import suggested_by
from pipelines.planning.brackets import planned_epochs
from pipelines.planning.planner import Planner
from pipelines.planning.second_aim import second_of
from pipelines.study.phase_rules import phase_length
from pipelines.study.phases import Phase
from pipelines.study.protocol import Protocol
from pipelines.study.study_file import Study
from pipelines.trial_documents import HistoryRow, TrialSpec

#: Reads the histories of trials, by key.
Histories = Callable[[Iterable[TrialRecord]], Mapping[str, Sequence[HistoryRow]]]


def score_of(trial: TrialRecord, protocol: Protocol) -> float | None:
    """A finished trial's score on val under the study's epoch rule.

    nan if it has no val, None if it failed.
    """
    if trial.result is None:
        return None
    val = trial.result["val"]
    return math.nan if val is None else val[protocol.epoch]


def course_of(trial: TrialRecord, rows: Sequence[HistoryRow], protocol: Protocol) -> Course | None:
    """What early stopping goes by, or would have gone by; rows: of the trial's history.

    None of one that makes no passes: there is nothing to stop.
    """
    if (trial.result or {}).get("passes") == 0:
        return None
    metric, name = METRICS[protocol.metric], f"val/{protocol.metric}"
    val = [metric.score(row[name]) for row in rows if row.get(name) is not None]
    if protocol.epoch == "selected":
        val = list(accumulate(val, max))
    each = (trial.result or {}).get("passes", 0) / max(len(rows), 1)  # rows of 0.1 have none
    passes = [row.get("passes", each * (i + 1)) for i, row in enumerate(rows)]
    epochs = len(rows)
    if trial.state == "diverged":  # before its last one
        phases = [Phase.model_validate(phase) for phase in trial.spec["phases"]]
        sizes = (trial.result or {})["data"]["sizes"]
        epochs = sum(phase_length(phase, protocol, sizes).epochs for phase in phases)
    elif trial.state != "completed":
        epochs = planned_epochs(trial.spec, protocol)
    return Course(tuple(val), tuple(map(float, passes)), epochs)


def is_stopped_early(study: Study, spec: TrialSpec) -> bool:
    """Whether a trial is one of a search whose trials are stopped early."""
    rule = study.request.stopping_for(spec["arm"]).rule
    return spec["role"] == "search" and rule != "none"


def courses_of(
    study: Study, trials: Iterable[TrialRecord], histories: Histories
) -> dict[str, Course]:
    """How far those trials have come whose searches are stopped early, by key."""
    asked = {t.key: t for t in trials if is_stopped_early(study, t.spec)}
    protocols = study.protocols
    return {
        key: course
        for key, rows in (histories(asked.values()) if asked else {}).items()
        if (protocol := protocols.get(asked[key].spec["scenario"]))
        and (course := course_of(asked[key], rows, protocol))
    }


def second_values(
    study: Study, trials: Iterable[TrialRecord], histories: Histories
) -> dict[str, float]:
    """Values of the second aim of search trials, by key; none where searches have no such aim."""
    aim, protocols = study.protocol.second_aim, study.protocols
    if aim is None:
        return {}
    asked = {t.key: t for t in trials if t.spec["role"] == "search" and t.state == "completed"}
    rows = {} if aim == PASSES else histories(asked.values())
    values = {
        key: second_of(trial, rows.get(key, ()), protocol, aim)
        for key, trial in asked.items()
        if (protocol := protocols.get(trial.spec["scenario"]))
    }
    return {key: value for key, value in values.items() if value is not None}


def plan(
    study: Study,
    protocol: str,
    trials: dict[str, TrialRecord],
    again: Collection[str] = (),
    histories: Histories = lambda trials: {},
) -> Planner:
    """A planner that knows what the ledger holds.

    again: keys of trials that count as not finished. histories: reads those of trials.
    """
    outcomes = {
        key: score_of(trial, study.protocol)
        for key, trial in trials.items()
        if trial.state in ("completed", "diverged", "failed") and key not in again
    }
    suggested = suggested_by((trial.spec for trial in trials.values()), study.arms)
    begun = [trial for key, trial in trials.items() if key not in again]
    courses = courses_of(study, begun, histories)
    second = second_values(study, begun, histories)
    return Planner(study, protocol, outcomes, suggested, courses, second)

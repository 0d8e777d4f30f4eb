"""From a finished trial to the record that statistics are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipelines.analysis.record import Course, EpochRule, HeldOut, Record
from pipelines.collapse import signs_at
from pipelines.documents import Json
from pipelines.ledger.record import TrialRecord
from pipelines.metrics import METRICS
from pipelines.planning.assignments import Assignment
from pipelines.study.arms import Arm
from pipelines.study.phase_rules import phase_length, selects, total_steps, uses_clean
from pipelines.study.phases import Phase
from pipelines.study.protocol import Protocol
from pipelines.trial_documents import HistoryRow


def record_of(trial: TrialRecord, assignment: Assignment, protocol: Protocol, arm: Arm) -> Record:
    """What statistics need to know of a trial in one of its roles.

    trial: completed, diverged or failed; of a failed one no number is known.
    assignment: the role, and where it stands in it.
    protocol: of the assignment's scenario.
    arm: of the assignment.
    """
    spec, result = trial.spec, trial.result or {}
    vals = result.get("val") or {}
    sizes = result.get("data", {}).get("sizes")
    held_out = result.get("held_out") or {"score": {"last": math.nan, "selected": math.nan}}
    phases = [Phase.model_validate(phase) for phase in spec["phases"]]
    return Record(
        key=trial.key,
        arm=assignment.arm,
        role=assignment.role,
        repeat=assignment.repeat,
        index=assignment.index,
        config=spec["config"],
        status=trial.state,
        val=vals.get(protocol.epoch, math.nan),
        test=held_out["score"],
        passes=result.get("passes", 0),
        seconds=result.get("cost", {}).get("seconds", math.nan),
        clean_train=clean_labels(protocol, phases),
        clean_select=_selection_labels(protocol, arm, phases),
        data_seed=spec["data_seed"],
        run_seed=spec["run_seed"],
        held_out=_held_out(held_out),
        last_val=vals.get("last", math.nan),
        best_val=vals.get("selected", math.nan),
        steps=(total_steps(phases, protocol, sizes) or None) if sizes else None,
        collapse=signs_at(result, protocol.epoch),
    )


def course_of(trial: TrialRecord, rows: Sequence[HistoryRow], protocol: Protocol) -> Course | None:
    """What early stopping would have gone by in a finished trial; rows: of its history.

    None of one that makes no passes: there is nothing to stop.
    """
    if (trial.result or {}).get("passes") == 0:
        return None
    metric, name = METRICS[protocol.metric], f"val/{protocol.metric}"
    val = [metric.score(row[name]) for row in rows if row.get(name) is not None]
    if protocol.epoch == "selected":
        val = np.maximum.accumulate(val).tolist()
    each = (trial.result or {}).get("passes", 0) / max(len(rows), 1)  # rows of 0.1 have none
    passes = [row.get("passes", each * (i + 1)) for i, row in enumerate(rows)]
    epochs = len(rows)
    if trial.state == "diverged":  # before its last one
        phases = [Phase.model_validate(phase) for phase in trial.spec["phases"]]
        sizes = (trial.result or {})["data"]["sizes"]
        epochs = sum(phase_length(phase, protocol, sizes).epochs for phase in phases)
    return Course(tuple(val), tuple(map(float, passes)), epochs)


def _held_out(scores: Json) -> dict[EpochRule, HeldOut]:
    """By epoch rule, of a run that completed."""
    correct = scores.get("correct", {})
    rules: tuple[EpochRule, ...] = ("last", "selected")
    return {
        rule: HeldOut(
            scores[rule]["confusion"],
            correct.get(rule),
            {name: scores[rule][name] for name in METRICS if name in scores[rule]},
        )
        for rule in rules
        if rule in scores
    }


def clean_labels(protocol: Protocol, phases: list[Phase]) -> int:
    """Clean labels that training uses: trained on, or learned from in any other way."""
    splits = protocol.splits
    meta = any(uses_clean(phase) for phase in phases)
    val = splits.val_labels == "clean" and any("val" in phase.pool for phase in phases)
    return splits.meta * meta + splits.val * val


def _selection_labels(protocol: Protocol, arm: Arm, phases: list[Phase]) -> int:
    """Clean labels that choose a configuration or an epoch."""
    splits = protocol.splits
    chooses = arm.tuned or protocol.epoch == "selected"
    return (
        splits.val if chooses and selects(phases, protocol) and splits.val_labels == "clean" else 0
    )

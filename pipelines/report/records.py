"""From a finished trial to the record that statistics are made of."""

from __future__ import annotations

import math
from dataclasses import replace

from pipelines.analysis.record import Course, EpochRule, HeldOut, Record
from pipelines.collapse import signs_at
from pipelines.documents import Json
from pipelines.ledger.record import TrialRecord
from pipelines.metrics import METRICS
from pipelines.planning.assignments import Assignment
from pipelines.study.arms import Arm
from pipelines.study.phase_rules import selects, total_steps, uses_clean
from pipelines.study.phases import Phase
from pipelines.study.protocol import Protocol
from pipelines.trial_documents import Rung

Stop = tuple[Rung, Course]  # where a rule has stopped a trial, and how far it has come


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
        clean_select=_selection_labels(protocol, assignment, arm, phases),
        data_seed=spec["data_seed"],
        run_seed=spec["run_seed"],
        held_out=_held_out(held_out),
        last_val=vals.get("last", math.nan),
        best_val=vals.get("selected", math.nan),
        steps=(total_steps(phases, protocol, sizes) or None) if sizes else None,
        collapse=signs_at(result, protocol.epoch),
        common=assignment.common,
    )


def stopped_record(
    trial: TrialRecord, assignment: Assignment, protocol: Protocol, arm: Arm, stop: Stop
) -> Record:
    """What is known of a search trial that a rule has stopped, whether or not it went beyond.

    It counts, and has cost, what it had come to where it was stopped.
    """
    (epoch, _), course = stop
    whole = record_of(trial, assignment, protocol, arm)
    cost = ((trial.result or trial.stopped or {}).get("cost") or {}).get("seconds", 0.0)
    passes = course.passes[epoch - 1]
    return replace(
        whole,
        status="stopped",
        val=math.nan,
        test={"last": math.nan, "selected": math.nan},
        passes=round(passes),
        seconds=cost * passes / course.passes[-1],
        held_out={},
        last_val=course.val[epoch - 1],
        best_val=max(course.val[:epoch]),
        collapse=None,
        course=course,
        stopped_epoch=epoch,
    )


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


def _selection_labels(
    protocol: Protocol, assignment: Assignment, arm: Arm, phases: list[Phase]
) -> int:
    """Clean labels that choose a configuration, common knobs or an epoch."""
    splits = protocol.splits
    chooses = arm.tuned or assignment.common or protocol.epoch == "selected"
    return (
        splits.val if chooses and selects(phases, protocol) and splits.val_labels == "clean" else 0
    )

"""What a dashboard shows of a study while it runs: plain values, drawn by its page."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict

from pipelines.documents import Json
from pipelines.execution.progress import ArmProgress, ProgressTable
from pipelines.ledger.damage import damage_lines
from pipelines.ledger.ledger import Ledger, Running
from pipelines.ledger.record import TrialRecord
from pipelines.report.study_state import StudyState
from pipelines.study.phase_rules import phase_epochs, phase_length
from pipelines.study.phases import Phase
from pipelines.study.training_spec import TrainingSpec
from pipelines.trial_documents import HistoryRow

POINTS = 100  # of a curve, about
HOSTS = 20  # that are named
LINES = 20  # of what went wrong; `status` and the report have them all


def running_trials(ledger: Ledger, study_state: StudyState) -> list[Running]:
    """What runs at this moment; nothing, where nobody drives the study."""
    driver = ledger.driver()
    trials = study_state.trials.values()
    return [] if driver is None else list(ledger.running(trials, driver.started))


def on_hosts(running: Sequence[Running]) -> str:
    """How many trials each host runs, in words."""
    hosts = Counter(trial.host for trial in running)
    named = [f"{host} {count}" for host, count in hosts.most_common(HOSTS)]
    named += [f"{len(hosts) - len(named)} more"] * (len(hosts) > len(named))
    return ", ".join(named)


def live_view(ledger: Ledger, study_state: StudyState) -> Json:
    """How a study stands, what runs at this moment, and what went wrong.

    Scores are those on val; the estimate of the time left takes as many workers as trials run.
    """
    driver = ledger.driver()
    trials = running_trials(ledger, study_state)
    running = [_running(study_state, *shown) for shown in trials]
    table = ProgressTable(study_state.planner, workers=max(1, len(running)))
    for trial in study_state.trials.values():
        table.add(trial)
    counts = table.as_json()
    finals = _finals(study_state)
    wrong = _wrong(study_state)
    return {
        "name": study_state.study.name,
        "about": study_state.study.about,
        "metric": study_state.study.protocol.metric,
        "driver": driver and f"{driver.host}, process {driver.pid}",
        "done": counts["done"],
        "planned": counts["planned"],
        "eta": table.eta() if driver else None,
        "hosts": on_hosts(trials),
        "arms": [
            _arm(line) | {"kind": study_state.planner.arms[line.arm].kind} | finals[line.arm]
            for line in table.lines()
        ],
        "running": sorted(running, key=lambda trial: trial["started"]),
        "wrong": wrong[:LINES],
        "more_wrong": max(0, len(wrong) - LINES),
    }


def _arm(line: ArmProgress) -> Json:
    # JSON has no infinity, which is the worst score of some metrics.
    best = line.best_val if _is_number(line.best_val) else None
    return asdict(line) | {"best_val": best, "remaining_seconds": line.remaining_seconds()}


def _running(
    study_state: StudyState,
    trial: TrialRecord,
    started: float,
    rows: list[HistoryRow],
    host: str,
) -> Json:
    """A trial that runs: which it is, and its score on val by epoch, as far as it has shown it."""
    spec = trial.spec
    protocol = study_state.study.protocols[spec["scenario"]]
    name = f"val/{protocol.metric}"
    phases = TrainingSpec.of(spec, protocol).phases
    curve = [[row["epoch"], row[name]] for row in rows if _is_number(row.get(name))]
    step = 1 + len(curve) // POINTS
    return {
        "key": trial.key,
        "arm": spec["arm"],
        "role": spec["role"],
        "repeat": spec["repeat"],
        "index": spec["index"],
        "scenario": spec["scenario"],
        "attempt": trial.attempts,
        "started": started,
        "host": host,
        "epochs": _epochs(study_state, spec["scenario"], phases),
        "epoch": rows[-1]["epoch"] if rows else 0,
        "curve": curve[::-step][::-1],  # with the last
    }


def _epochs(study_state: StudyState, scenario: str, phases: Sequence[Phase]) -> int | None:
    """Length of a trial; None where it is in steps, and no trial has ended that says of how many.

    Examples are as many in all trials of a scenario.
    """
    protocol = study_state.study.protocols[scenario]
    ended = (
        trial.result["data"]["sizes"]
        for trial in study_state.trials.values()
        if trial.result is not None and trial.spec["scenario"] == scenario
    )
    sizes = next(ended, None)
    if protocol.schedule.steps is None:
        return sum(phase_epochs(phase, protocol) for phase in phases)
    if sizes is None:
        return None
    return sum(phase_length(phase, protocol, sizes).epochs for phase in phases)


def _finals(study_state: StudyState) -> dict[str, Json]:
    """By arm, the mean score on val of its completed final runs so far, and their number."""
    scores: dict[str, list[float]] = defaultdict(list)
    for record in study_state.records:
        if record.role == "final" and record.status == "completed" and _is_number(record.val):
            scores[record.arm].append(record.val)
    return defaultdict(
        lambda: {"final_runs": 0, "final_val": None},
        {
            arm: {"final_runs": len(values), "final_val": sum(values) / len(values)}
            for arm, values in scores.items()
        },
    )


def _wrong(study_state: StudyState) -> list[str]:
    """A line for each failed trial, conflict and damaged file."""
    failed = [
        f"{trial.key} failed ({error['class']}){_where(error)}: {error['type']}: {error['message']}"
        for trial in study_state.trials.values()
        if trial.state == "failed" and (error := trial.error)
    ]
    conflicts = [f"{key}: attempts came to different results" for key in study_state.conflicts()]
    return [*failed, *conflicts, *damage_lines(study_state.damaged)]


def _where(error: Json) -> str:
    return f" on {error['host']}" if "host" in error else ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)

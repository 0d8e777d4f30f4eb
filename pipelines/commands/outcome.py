"""What became of a launch: whether an arm has come to nothing, and why."""

from __future__ import annotations

from collections import defaultdict

from rich.console import Console

from pipelines.commands.printing import print_line
from pipelines.execution.early_stop import FAILING_ALIKE
from pipelines.ledger.record import TrialRecord
from pipelines.planning.planner import Planner
from pipelines.report.study_state import FINISHED, StudyState, load_study_state

OF_MACHINES = ("memory", "data", "time", "node")  # classes of errors for which the host matters
ALL_FAILED = 3  # exit status of a launch in which all trials of an arm failed


def given_up(planner: Planner) -> str:
    """Why a launch stopped early, and what to do, in a line."""
    left = planner.planned.total() - planner.done.total()
    return (
        f"stopped early: the first {FAILING_ALIKE} trials of every arm failed alike, "
        f"{left} of {planner.planned.total()} were not run; put it right and launch with "
        "--retry failed, or insist with --keep-going"
    )


def outcome(storage: str, console: Console) -> int:
    """A launch's exit status; says in a line each why arms have come to nothing."""
    _, study_state = load_study_state(storage)
    reasons = failed_arms(study_state)
    for line in reasons:
        print_line(line, console)
    return ALL_FAILED if reasons else 0


def failed_arms(study_state: StudyState) -> list[str]:
    """For each arm of which all trials that ended failed, a line per class of error."""
    by_arm: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in study_state.trials.values():
        if trial.state in (*FINISHED, "stopped"):
            by_arm[trial.spec["arm"]].append(trial)
    return [
        line
        for arm in study_state.study.arms
        if by_arm[arm] and all(trial.state == "failed" for trial in by_arm[arm])
        for line in _reasons(arm, by_arm[arm])
    ]


def _reasons(arm: str, trials: list[TrialRecord]) -> list[str]:
    by_class: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in trials:
        by_class[(trial.error or {}).get("class", "unknown")].append(trial)
    lines = []
    for name, failed in sorted(by_class.items()):
        error = failed[0].error or {}
        message = " ".join(f"{error.get('type')}: {error.get('message')}".split())
        hosts = sorted({(trial.error or {}).get("host", "") for trial in failed} - {""})
        where = f" on {', '.join(hosts)}" if hosts and name in OF_MACHINES else ""
        count = f"{len(failed)} of {len(trials)} trials failed ({name}){where}"
        lines.append(f"arm {arm!r}: {count}: {message}")
    return lines

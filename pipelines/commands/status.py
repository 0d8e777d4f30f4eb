"""The command `status`."""

from __future__ import annotations

import json

from rich.console import Console

from pipelines.commands.printing import print_line
from pipelines.execution.progress import ProgressTable
from pipelines.ledger.damage import damage_lines
from pipelines.ledger.lease import Holder
from pipelines.report.study_state import StudyState, load_study_state


def show_status(storage: str, as_json: bool, console: Console) -> None:
    """How a study stands, from its ledger alone."""
    ledger, study_state = load_study_state(storage)
    progress_table = ProgressTable(study_state.planner)
    for trial in study_state.trials.values():
        progress_table.add(trial)
    holder = ledger.driver()
    if as_json:
        status = progress_table.as_json() | {
            "study": study_state.study.name,
            "driver": holder and holder.host,
            "running": _running(study_state) if holder else 0,
            "errors": study_state.errors(),
            "conflicts": study_state.conflicts(),
            "damaged": study_state.damaged,
        }
        print(json.dumps(status))
        return
    console.print(progress_table.table())
    _print_state(study_state, holder, console)


def _print_state(study_state: StudyState, holder: Holder | None, console: Console) -> None:
    """Who runs it, and what has gone wrong."""
    running = f"running on {holder.host}, process {holder.pid}" if holder else "not running"
    print_line(f"{study_state.study.name}: {running}", console)
    for trial in study_state.trials.values():
        if trial.state == "failed":
            error = trial.error or {}
            reason = f"{error.get('type')}: {error.get('message')}"
            print_line(f"failed ({error.get('class')}): {trial.key}: {reason}", console)
    for line in damage_lines(study_state.damaged):
        print_line(f"damaged: {line}", console)
    for key in study_state.conflicts():
        what = "attempts came to different results, see its conflict.json"
        print_line(f"error: {key}: {what}", console)


def _running(study_state: StudyState) -> int:
    return sum(trial.state == "started" for trial in study_state.trials.values())

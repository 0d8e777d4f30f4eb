"""The command `status`."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext, suppress
from typing import NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from pipelines.commands.printing import print_line
from pipelines.errors import UserError
from pipelines.execution.live import on_hosts, running_trials
from pipelines.execution.progress import ProgressTable
from pipelines.ledger.damage import damage_lines
from pipelines.ledger.ledger import Ledger
from pipelines.report.study_state import StudyState, load_study_state

WATCH_SECONDS = 5.0  # between two looks, on a terminal
LOG_SECONDS = 60.0  # elsewhere: each look is lines that stay


def run_status(storage: str, as_json: bool, watch: bool, console: Console) -> None:
    """Once, or until all has run."""
    if watch and as_json:
        raise UserError("--watch --json: one of them")
    if watch:
        watch_status(storage, console)
    else:
        show_status(storage, as_json, console)


def show_status(storage: str, as_json: bool, console: Console) -> None:
    """How a study stands, from its ledger alone."""
    ledger, study_state = load_study_state(storage)
    progress_table = _table(study_state)
    if as_json:
        holder = ledger.driver()
        status = progress_table.as_json() | {
            "study": study_state.study.name,
            "driver": holder and holder.host,
            "running": len(running_trials(ledger, study_state)),
            "errors": study_state.errors(),
            "conflicts": study_state.conflicts(),
            "damaged": study_state.damaged,
        }
        print(json.dumps(status))
        return
    console.print(progress_table.table())
    for line in _lines(ledger, study_state):
        print_line(line, console)


def watch_status(storage: str, console: Console) -> None:
    """The same again and again, with nodes and speed, until all has run or Ctrl-C."""
    first = None
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with suppress(KeyboardInterrupt), live or nullcontext():
        while True:
            ledger, study_state = load_study_state(storage)
            now = _Look(time.monotonic(), study_state.planner.done.total())
            first = first or now
            lines = [*_lines(ledger, study_state), *_running(ledger, study_state, first, now)]
            view = Group(_table(study_state).table(), *(Text(line) for line in lines))
            if live is None:
                console.print(view)
            else:
                live.update(view, refresh=True)
            if study_state.planner.finished and ledger.driver() is None:
                return
            time.sleep(WATCH_SECONDS if live else LOG_SECONDS)


class _Look(NamedTuple):
    """When, and how many trials were done."""

    at: float
    done: int


def _table(study_state: StudyState) -> ProgressTable:
    progress_table = ProgressTable(study_state.planner)
    for trial in study_state.trials.values():
        progress_table.add(trial)
    return progress_table


def _lines(ledger: Ledger, study_state: StudyState) -> list[str]:
    """Who runs it, and what has gone wrong."""
    holder = ledger.driver()
    running = f"running on {holder.host}, process {holder.pid}" if holder else "not running"
    lines = [f"{study_state.study.name}: {running}"]
    for trial in study_state.trials.values():
        if trial.state == "failed":
            error = trial.error or {}
            where = f" on {error['host']}" if "host" in error else ""
            reason = f"{error.get('type')}: {error.get('message')}"
            lines.append(f"failed ({error.get('class')}){where}: {trial.key}: {reason}")
    lines += [f"damaged: {line}" for line in damage_lines(study_state.damaged)]
    what = "attempts came to different results, see its conflict.json"
    return lines + [f"error: {key}: {what}" for key in study_state.conflicts()]


def _running(ledger: Ledger, study_state: StudyState, first: _Look, now: _Look) -> list[str]:
    """How many trials each host runs, and how many have ended an hour since the watch began."""
    if ledger.driver() is None:
        return []
    running = running_trials(ledger, study_state)
    lines = [f"trials run: {len(running)}" + f" ({on_hosts(running)})" * bool(running)]
    if now.done > first.done:
        speed = (now.done - first.done) / (now.at - first.at) * 3600
        lines.append(f"{speed:.0f} trials an hour since this watch began")
    return lines

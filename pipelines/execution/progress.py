"""How a study stands: one line per arm, for the live display, `status`, and scripts."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipelines.collapse import signs_at, spoiled
from pipelines.execution.jobs import OnEnd
from pipelines.ledger.record import TrialRecord
from pipelines.planning.planner import Planner
from pipelines.planning.resume import score_of

SILENT_SECONDS = 15.0


@dataclass
class ArmProgress:
    """One arm: trials done of those planned, best score on val so far, and what it cost."""

    arm: str
    done: int = 0
    planned: int = 0
    best_val: float | None = None
    seconds: float = 0.0
    runs: int = 0
    collapsed: int = 0
    diverged: int = 0
    failed: int = 0
    stopped: int = 0

    def remaining_seconds(self) -> float | None:
        """Seconds of work left, at the mean cost of a run so far; None before the first."""
        return (self.planned - self.done) * self.seconds / self.runs if self.runs else None


class ProgressTable:
    """Lines that are kept up to date, trial by trial."""

    def __init__(self, planner: Planner, workers: int = 1) -> None:
        self.planner, self.workers = planner, workers
        self._lines: dict[str, ArmProgress] = defaultdict(lambda: ArmProgress(""))
        self._seconds: dict[str, float] = {}  # by key

    def add(self, trial: TrialRecord) -> None:
        """A trial that ended, or was stopped early."""
        line = self._lines[trial.spec["arm"]]
        line.failed += trial.state == "failed"
        ended = trial.result or trial.stopped
        if ended is None:
            return
        seconds = ended["cost"]["seconds"]  # of all its attempts: it may have come here before
        line.runs += trial.key not in self._seconds
        line.seconds += seconds - self._seconds.get(trial.key, 0.0)
        self._seconds[trial.key] = seconds
        if trial.result is None:
            return
        line.collapsed += spoiled(signs_at(trial.result, self.planner.study.protocol.epoch))
        line.diverged += trial.state == "diverged"
        score = score_of(trial, self.planner.study.protocol)
        if score is not None and not math.isnan(score):
            line.best_val = score if line.best_val is None else max(line.best_val, score)

    def lines(self) -> list[ArmProgress]:
        """The requested arms, in order."""
        stopped = Counter(assignment.arm for assignment in self.planner.stopped)
        for name in self.planner.arms:
            line = self._lines[name]
            line.stopped = stopped[name]
            line.arm, line.done, line.planned = (
                name,
                self.planner.done[name],
                self.planner.planned[name],
            )
        return [self._lines[name] for name in self.planner.arms]

    def eta(self) -> float | None:
        """Seconds until all is done; None before the first run.

        What is left is taken to be spread over all workers.
        """
        lines = self.lines()
        known = [r for line in lines if (r := line.remaining_seconds()) is not None]
        if not known:
            return None
        runs = sum(line.runs for line in lines)
        mean = sum(line.seconds for line in lines) / runs
        unknown = sum((line.planned - line.done) * mean for line in lines if not line.runs)
        return (sum(known) + unknown) / self.workers

    def as_json(self) -> dict[str, Any]:
        """Plain values, for `status --json`."""
        lines = self.lines()
        return {
            "done": sum(line.done for line in lines),
            "planned": sum(line.planned for line in lines),
            "arms": [
                asdict(line) | {"remaining_seconds": line.remaining_seconds()} for line in lines
            ],
        }

    def table(self) -> Table:
        """The lines as a table for the terminal, in 80 columns with the longest names of arms."""
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        table.add_column("arm", no_wrap=True)
        for name in ("trials", "best val", "left", "cost"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("lost")
        if self.planner.brackets:
            table.add_column("stopped early", justify="right")
        lines = self.lines()
        for line in lines:
            stopped = [str(line.stopped)] if self.planner.brackets else []
            style = "dim" if line.done == line.planned else None
            table.add_row(*_cells(line), *stopped, style=style)
        done, planned = sum(x.done for x in lines), sum(x.planned for x in lines)
        eta, cost = self.eta(), sum(x.seconds for x in lines)
        table.add_row(
            "all",
            f"{done}/{planned}",
            "",
            f"ETA {format_duration(eta)}",
            format_duration(cost),
            style="bold",
        )
        return table


@contextmanager
def progress(progress_table: ProgressTable, console: Console) -> Iterator[OnEnd]:
    """A live table on a terminal; elsewhere a line from time to time.

    Yields what to call with each trial that ended.
    """
    if console.is_terminal:
        with Live(
            progress_table.table(), console=console, refresh_per_second=4, transient=True
        ) as live:

            def redraw(trial: TrialRecord) -> None:
                progress_table.add(trial)
                live.update(progress_table.table())

            yield redraw
        console.print(progress_table.table())
        return
    said = 0.0

    def say(trial: TrialRecord) -> None:
        nonlocal said
        progress_table.add(trial)
        if time.monotonic() - said > SILENT_SECONDS:
            said = time.monotonic()
            state = progress_table.as_json()
            console.print(
                f"{state['done']}/{state['planned']} trials, "
                f"ETA {format_duration(progress_table.eta())}"
            )

    yield say
    console.print(progress_table.table())


def _cells(line: ArmProgress) -> list[str]:
    best = "" if line.best_val is None else f"{line.best_val:.3f}"
    left = line.remaining_seconds()
    lost = {"collapsed": line.collapsed, "diverged": line.diverged, "failed": line.failed}
    return [
        line.arm,
        f"{line.done}/{line.planned}",
        best,
        format_duration(left),
        format_duration(line.seconds),
        ", ".join(f"{number} {what}" for what, number in lost.items() if number),
    ]


def format_duration(seconds: float | None) -> str:
    """A duration for people: 7 s, 3 min 20 s, 2 h 05 min; ? where it is unknown."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"

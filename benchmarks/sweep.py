"""What a sweep costs beside training: start-up, turnover, and the share of time that is work.

    python -m benchmarks.sweep [--study digits] [--executor ray|inline] [--json FILE]

Launches a quick run of a study by the command line, and reads its ledger. Turnover is what a worker
spends per trial on anything but training and evaluating, from its first step to its last result:
data, W&B offline, the ledger, the driver. That workers do not start together is told apart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
Record = dict[str, Any]


def run(study: str, executor: str, arms: str) -> Record:
    """Launch the study in a new directory; figures in seconds."""
    with tempfile.TemporaryDirectory(prefix="untuned-benchmark-") as storage:
        command = [sys.executable, "run_sweep.py", "launch", study, "--quick", "--arms", arms]
        command += ["--trials", "2", "--repeats", "2"]
        command += ["--executor", executor, "--wandb", "offline", "--storage", storage]
        environment = os.environ | {"RAY_AUTH_MODE": "disabled"}
        begin = time.time()
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        end = time.time()
        trials = [_trial(path) for path in sorted(Path(storage, "trials").iterdir())]
    workers = by_worker(trials)
    first = min(trial["begun"] for trial in trials)
    span = max(trial["ended"] for trial in trials) - first
    training = sum(trial["seconds"] for trial in trials)
    working = sum(done[-1]["ended"] - done[0]["begun"] for done in workers)
    return {
        "study": study,
        "executor": executor,
        "workers": len(workers),
        "trials": len(trials),
        "seconds_to_first_step": first - begin,
        "seconds_to_last_worker": max(done[0]["begun"] for done in workers) - begin,
        "turnover": (working - training) / (len(trials) - len(workers)),
        "seconds_per_trial": training / len(trials),
        "trials_per_hour": 3600 * len(trials) / span,
        "training_share": training / working,
        "seconds_after_last_trial": end - first - span,
        "torch": torch.__version__,
    }


def by_worker(trials: list[Record]) -> list[list[Record]]:
    """The trials of each worker, which ran one after the other.

    Who ran which makes no difference to how long all of them paused.
    """
    workers: list[list[Record]] = []
    for trial in sorted(trials, key=lambda trial: trial["begun"]):
        free = [done for done in workers if done[-1]["ended"] <= trial["begun"]]
        if free:
            max(free, key=lambda done: done[-1]["ended"]).append(trial)
        else:
            workers.append([trial])
    return workers


def _trial(folder: Path) -> Record:
    """When a trial began to train and when its result was there; the first is by its own clock."""
    seconds = json.loads((folder / "result.json").read_text())["cost"]["seconds"]
    history = folder / "attempts" / "1" / "history.json"
    ended = (folder / "result.json").stat().st_mtime
    return {"begun": history.stat().st_mtime - seconds, "ended": ended, "seconds": seconds}


def main(
    study: Annotated[str, typer.Option()] = "digits",
    executor: Annotated[str, typer.Option(help="ray or inline")] = "ray",
    arms: Annotated[str, typer.Option()] = "ce,gce,l2rw,mw_net",
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Print the figures, and write the record."""
    record = run(study, executor, arms)
    shown = Table("figure", "value")
    for name, value in record.items():
        shown.add_row(name, f"{value:.3g}" if isinstance(value, float) else str(value))
    Console().print(shown)
    if file:
        file.write_text(json.dumps([record], indent=1))


if __name__ == "__main__":
    typer.run(main)

"""The command line as processes of their own, forked from one that has everything imported.

So a command costs what it computes, and its exit status is a real one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds after which a command hangs
PRELOADED = [
    "benchmarks.faults.forked",
    "pipelines.commands.launch",
    "pipelines.commands.status",
    "pipelines.commands.doctor",
    "pipelines.execution.inline",
    "pipelines.report.pages",
    "pipelines.analysis.headline",
    "pipelines.report.study_report",
    "pipelines.cluster.doctor",
    "torch._dynamo",  # what a model's first step imports
    "triton",
]
QUIET = {"RAY_AUTH_MODE": "disabled", "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}
_NUMBERS = count()


@dataclass
class Said:
    """What came of a command: its exit status (negative: the signal that ended it), and its words.

    status: None if it did not end within `PATIENCE`.
    """

    command: str
    status: int | None
    out: str
    err: str

    @property
    def words(self) -> str:
        """All of it."""
        return self.out + self.err


@dataclass
class Running:
    """A command that has been started."""

    command: str
    process: Any
    out: Path
    err: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def ended(self) -> bool:
        """Whether it has."""
        return self._status() is not None

    def send(self, number: int) -> None:
        """A signal, unless it has ended."""
        if not self.ended:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, seconds: float = PATIENCE) -> Said:
        """Its end; a command that hangs is killed, and has no status."""
        deadline = time.monotonic() + seconds
        while (status := self._status()) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if status is None:
            self.send(signal.SIGKILL)
            time.sleep(0.1)
        texts = [path.read_text(errors="replace") for path in (self.out, self.err)]
        return Said(self.command, status, *texts)

    def _status(self) -> int | None:
        if isinstance(self.process, subprocess.Popen):
            return self.process.poll()
        return self.process.exitcode


@dataclass
class Shell:
    """Starts commands.

    folder: where their output is kept. environment: what they are given beside this process's own.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, real: bool = False, **hooks: float) -> Running:
        """Start a command.

        real: as a user would, without what is imported before. hooks: see `forked.install`.
        """
        number = next(_NUMBERS)
        out, err = (self.folder / f"{number}.{end}" for end in ("out", "err"))
        environment = {**os.environ, **QUIET, **self.environment}
        process = _spawn if real else _fork
        command = " ".join(a for a in arguments if "/" not in a)
        return Running(command, process(arguments, environment, (out, err), hooks), out, err)

    def run(self, *arguments: str, real: bool = False, **hooks: float) -> Said:
        """Run a command to its end."""
        return self.start(*arguments, real=real, **hooks).wait()


def _fork(
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    texts: tuple[Path, Path],
    hooks: Mapping[str, float],
) -> Any:
    from benchmarks.faults.forked import main

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(
        target=main, args=(list(arguments), dict(environment), texts, dict(hooks)), daemon=True
    )
    process.start()
    return process


def _spawn(
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    texts: tuple[Path, Path],
    hooks: Mapping[str, float],
) -> subprocess.Popen[bytes]:
    assert not hooks
    command = [sys.executable, str(ROOT / "run_sweep.py"), *arguments]
    out, err = texts
    with out.open("wb") as to_out, err.open("wb") as to_err:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=to_out, stderr=to_err
        )

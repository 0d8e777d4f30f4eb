"""The process with Ray: connects, and runs what its launch hands out (cluster/ray_process.py)."""

from __future__ import annotations

import ctypes
import os
import signal
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from pipelines.cluster.ray_process import END, RayWork
from pipelines.errors import UserError
from pipelines.execution.jobs import ArmCounts, Job, Lost
from pipelines.ledger.record import TrialRecord

PR_SET_PDEATHSIG = 1  # of linux/prctl.h


class LaunchFailed(Exception):
    """The launch could not answer; it knows why."""


class LaunchLine:
    """The launch at the other end of the line: its job queue, its terminal, its wish to stop."""

    def __init__(self, line: Connection) -> None:
        self._line = line

    def next(self, gpus: float = 0.0, whole: int = 0) -> Job | None:
        """A job to run now; None if there is none at the moment."""
        return self._ask("next", gpus, whole)

    def ended(self, key: str, lost: Lost | None = None) -> TrialRecord | None:
        """A job ended; the launch itself shows what came of it."""
        return self._ask("ended", key, lost)

    @property
    def finished(self) -> bool:
        """Everything asked for has run."""
        return self._ask("finished")

    def counts(self) -> dict[str, ArmCounts]:
        """How each arm stands."""
        return self._ask("counts")

    def stop(self) -> bool:
        """Whether to stop."""
        return self._ask("stop")

    def say(self, text: str) -> None:
        """A line for the terminal."""
        self._ask("say", text)

    def _ask(self, name: str, *arguments: Any) -> Any:
        self._line.send((name, arguments))
        answered, value = self._line.recv()
        if not answered:
            raise LaunchFailed(name)
        return value


def main(line: Connection) -> None:
    """Do the work that comes over the line, and end with a last word on how it went."""
    _die_with_the_launch()
    work: RayWork = line.recv()
    launch = LaunchLine(line)
    error = None
    try:
        from pipelines.cluster.sweep import work_on_ray  # imports ray, which takes seconds

        work_on_ray(work, launch, lambda trial: None, launch.say, launch.stop)
    except UserError as mistake:
        error = mistake
    except Exception as fault:
        error = RuntimeError("".join(traceback.format_exception(fault)))
    with suppress(OSError):  # nobody waits for it any more
        line.send((END, error))


def _die_with_the_launch() -> None:
    """Where the kernel can see to it: at once, and Ray's servers with this process."""
    parent = os.getppid()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was quicker
        os._exit(1)

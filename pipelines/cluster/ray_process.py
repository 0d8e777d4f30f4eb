"""Runs a launch's Ray in a process of its own, which may die.

Ray ends the process that is connected to it when one of its servers dies, and writes what it thinks
of that on standard error. So the launch itself (lease, job queue, terminal) is another process: it
answers what the one with Ray asks, starts that one anew, and says in one line what happened. The
two talk over a pipe; its ends are `Answers` here and `cluster/ray_main.py` there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import psutil

from pipelines.errors import RayLost
from pipelines.execution.jobs import ArmCounts, Job, Jobs, Lost, OnEnd
from pipelines.execution.packing import Gpus, ProbeSpecs
from pipelines.execution.signals import ShouldStop
from pipelines.execution.worker_config import WorkerConfig
from pipelines.study.node_labels import ANY

# With the launch's own sys.path, which modules of the user's own may be found by.
START = """
import sys
from multiprocessing.connection import Connection
line = Connection(int(sys.argv[1]))
sys.path[:] = line.recv()
from pipelines.cluster.ray_main import main
main(line)
"""
ASK_SECONDS = 1.0  # between looks whether to stop, while nothing is asked
STOP_SECONDS = 45.0  # for an orderly stop; Ray's workers have 20 of them (GRACE_SECONDS)
SIGNAL_SECONDS = 2.0  # a signal to all processes ends Ray, and comes here, within this time
STARTS = 2  # of a launch's own Ray
END = "end"  # the last message: None, or what went wrong


@dataclass(frozen=True)
class RayWork:
    """All that the process with Ray needs to know. Reading it takes no time: it holds no study.

    address: of a cluster; None: a Ray of the launch's own. cpus, gpus: that a trial takes;
    concurrent: trials at once (None: as many as fit). accelerator, labels: of the nodes. probed:
    what to measure where gpus is "auto". nodes_checked: they need no look.
    """

    address: str | None
    worker_config: WorkerConfig
    cpus: float
    gpus: Gpus
    concurrent: int | None = None
    accelerator: str = ANY
    labels: Mapping[str, str] = field(default_factory=dict)
    probed: ProbeSpecs = field(default_factory=dict)
    nodes_checked: bool = False


class ProcessLost(Exception):
    """The process with Ray ended without a last word."""


def run_in_process(
    work: RayWork,
    queue: Jobs,
    on_end: OnEnd,
    say: Callable[[str], None],
    stop: ShouldStop = lambda: False,
) -> None:
    """Run all that is missing on Ray, or until `stop` is true.

    A Ray of the launch's own that dies is started anew, once. say: is told that, and what the
    process with Ray has to say, in a line each.

    Raises:
        RayLost: the launch's own Ray died again, or the cluster's head cannot be reached any more.
        Exception: what was raised there, or by the job queue.
    """
    reason: Exception = RayLost(f"Ray's processes ended {STARTS} times, by whatever ended them")
    for number in range(1, STARTS + 1):
        answers = Answers(queue, on_end, say, stop)
        try:
            _run_once(work, answers)
            return
        except (ProcessLost, RayLost) as error:
            if _asked_to_stop(stop):
                return
            if isinstance(error, RayLost):
                reason = error
        answers.lose_all()
        if work.address is not None:
            raise RayLost(f"address {work.address!r}: the cluster's head is lost")
        if number < STARTS:
            say("Ray's processes ended; Ray is started anew, and the launch goes on.")
    raise reason


class Answers:
    """What the process with Ray may ask of its launch, by name."""

    def __init__(
        self, queue: Jobs, on_end: OnEnd, say: Callable[[str], None], stop: ShouldStop
    ) -> None:
        self._queue, self._on_end = queue, on_end
        self.say, self.stop = say, stop
        self._running: set[str] = set()
        self.error: Exception | None = None

    def next(self, gpus: float, whole: int) -> Job | None:
        """`Jobs.next`."""
        job = self._queue.next(gpus, whole)
        if job is not None:
            self._running.add(job.spec["key"])
        return job

    def ended(self, key: str, lost: Lost | None) -> None:
        """`Jobs.ended`, and a trial that ended is shown."""
        self._running.discard(key)
        if (trial := self._queue.ended(key, lost)) is not None:
            self._on_end(trial)

    def finished(self) -> bool:
        """`Jobs.finished`."""
        return self._queue.finished

    def counts(self) -> dict[str, ArmCounts]:
        """`Jobs.counts`."""
        return self._queue.counts()

    def lose_all(self) -> None:
        """Whatever was running is lost with its node."""
        for key in sorted(self._running):
            self.ended(key, "node")

    def answer(self, name: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
        """Whether a question could be answered, and the answer. An error is kept: it is ours."""
        try:
            return True, getattr(self, name)(*arguments)
        except Exception as error:
            self.error = error
            return False, None


def _run_once(work: RayWork, answers: Answers) -> None:
    """Start the process, and answer it until it ends; nothing that it started is left.

    Raises:
        ProcessLost: it ended without a last word.
        Exception: its last word, or an error of ours that it could not go on with.
    """
    here, there = Pipe()
    with tempfile.TemporaryFile() as said, here:
        with there:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, str(there.fileno())],
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                # Whatever ends the launch's group (a terminal, `timeout`) leaves Ray to the launch,
                # which stops it in an orderly way.
                start_new_session=True,
            )
        try:
            last = _converse(here, work, answers)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)  # Ray is shut down
        finally:
            _end_session(process)
    if answers.error or last:
        raise answers.error or last  # pyright: ignore[reportGeneralTypeIssues]  # one of them is


def _converse(line: Connection, work: RayWork, answers: Answers) -> Exception | None:
    """Answer until the last word, which is returned."""
    asked_to_stop: float | None = None
    try:
        line.send(sys.path)
        line.send(work)
        while True:
            if not line.poll(ASK_SECONDS):
                if asked_to_stop is None and answers.stop():
                    asked_to_stop = time.monotonic()
                if asked_to_stop and time.monotonic() - asked_to_stop > STOP_SECONDS:
                    raise ProcessLost
                continue
            name, arguments = line.recv()
            if name == END:
                return arguments
            line.send(answers.answer(name, arguments))
    except (EOFError, OSError) as error:
        raise ProcessLost from error


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of a process and of those that descend from it."""
    while left := [pid for pid in psutil.pids() if _session(pid) == process.pid]:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.poll()  # it stays a zombie until it is waited for
        time.sleep(0.05)
    process.wait()


def _session(pid: int) -> int | None:
    """The session of a live process."""
    try:
        dead = psutil.Process(pid).status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return None if dead else os.getsid(pid)
    except (psutil.Error, ProcessLookupError, PermissionError):
        return None


def _asked_to_stop(stop: ShouldStop) -> bool:
    """Whether what ended Ray was meant for the launch too, which may hear of it a little later."""
    deadline = time.monotonic() + SIGNAL_SECONDS
    while not (stopping := stop()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return stopping

"""A launch on a Ray of its own, of which processes die."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.faults.commands import Running, Shell
from benchmarks.faults.judge import Verdict, trials_at
from benchmarks.faults.plan import Fault
from benchmarks.faults.processes import finish, launch_of, statuses_of
from benchmarks.faults.studies import Studies
from tests.support.marks import marked_environment, marked_processes

STARTS = 60.0  # seconds within which a trial runs
TRIAL, RAYLET = "ray::ImplicitFunc", "/raylet/raylet"
RAY_LOST = 4  # exit status


def deal(fault: Fault, studies: Studies, shell: Shell, folder: Path) -> tuple[Verdict, str]:
    """End some of a launch's processes while trials run; then go on without Ray."""
    verdict, rng, victim = Verdict(), fault.rng, fault.kind.partition(", ")[2]
    place = studies.copy("unfinished", folder / "study", s3=False)
    before = trials_at(place.location)
    marks = marked_environment()
    launch = [word for word in launch_of(studies, place) if word not in ("--executor", "inline")]
    running = Shell(shell.folder, marks).start(*launch, real=True)
    _wait_for_trial(running, marks)
    time.sleep(rng.uniform(0.0, 2.0))
    number = signal.SIGKILL
    if victim in ("driver", "all"):
        number = rng.choice((signal.SIGTERM, signal.SIGINT, signal.SIGKILL))
    killed = _kill(victim, number, running, marks)
    allowed = {0, 3, *(statuses_of(number) if victim in ("driver", "all") else (RAY_LOST,))}
    verdict.hear(running.wait(120), allowed)
    for pid in marked_processes(marks):  # what has not noticed yet that it is alone
        _end(pid, signal.SIGKILL)
    finish(verdict, place, studies, shell, before)
    return verdict, f"{signal.Signals(number).name} to {killed}"


def _wait_for_trial(running: Running, marks: dict[str, str]) -> None:
    deadline = time.monotonic() + STARTS
    while time.monotonic() < deadline and not running.ended:
        if any(TRIAL in command for command in marked_processes(marks).values()):
            return
        time.sleep(0.1)


def _kill(victim: str, number: int, running: Running, marks: dict[str, str]) -> str:
    """Send a signal to a part of the launch; what it was."""
    names = {"worker": TRIAL, "raylet": RAYLET, "all": ""}
    if victim == "driver":
        running.send(number)
        return "the driver"
    found = [pid for pid, command in marked_processes(marks).items() if names[victim] in command]
    for pid in found if victim == "all" else found[:1]:
        _end(pid, number)
    return f"{victim} ({len(found)} processes)"


def _end(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)

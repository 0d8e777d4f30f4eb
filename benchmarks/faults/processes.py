"""Signals to a launch that runs its trials itself."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from benchmarks.faults.commands import Shell
from benchmarks.faults.judge import Trials, Verdict, trials_at
from benchmarks.faults.plan import Fault
from benchmarks.faults.studies import LAUNCH, Place, Studies

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
STARTING = 1.0  # seconds within which a launch may not yet have taken its signals
LONGEST = 2.5  # seconds of a launch until the last signal


def statuses_of(number: int) -> tuple[int, ...]:
    """With which a command ends that gets this signal: as shells count, and as Python does."""
    if number == signal.SIGKILL:
        return (-number,)
    return (128 + number, -number)


def deal(fault: Fault, studies: Studies, shell: Shell, folder: Path) -> tuple[Verdict, str]:
    """Stop or kill a launch at some moment; then launch it to its end."""
    rng, verdict = fault.rng, Verdict()
    place = studies.copy("unfinished", folder / "study", s3=False)
    before = trials_at(place.location)
    number = rng.choice(SIGNALS)
    real = "user" in fault.kind
    running = shell.start(*launch_of(studies, place), real=real)
    time.sleep(rng.uniform(0.0, 2 * LONGEST if real else LONGEST))
    running.send(number)
    expected = {0, 3, *statuses_of(number)}  # it may have been quicker
    what = signal.Signals(number).name
    if "two" in fault.kind:
        second = rng.choice(SIGNALS)
        time.sleep(rng.uniform(0.0, 0.2))
        running.send(second)
        expected |= {*statuses_of(second)}
        what += f", {signal.Signals(second).name}"
    verdict.hear(running.wait(), expected)
    finish(verdict, place, studies, shell, before)
    return verdict, what


def launch_of(studies: Studies, place: Place) -> tuple[str, ...]:
    """The command that goes on with a study."""
    return ("launch", str(studies.yaml), *LAUNCH, "--storage", place.location)


def finish(verdict: Verdict, place: Place, studies: Studies, shell: Shell, before: Trials) -> None:
    """Launch a study to its end, and judge it: everything is there once, and doctor is content.

    But for the last words of an attempt that the disk had no room for.
    """
    verdict.hear(shell.run(*launch_of(studies, place)), (0, 3))  # one had failed before
    verdict.hear(shell.run(*launch_of(studies, place), "--retry", "failed"), (0,))
    doctor = verdict.hear(shell.run("doctor", place.location), (0, 1))
    damaged = [line for line in doctor.out.splitlines() if line.startswith("damaged")]
    if doctor.status and not all("cannot be restored" in line for line in damaged or [""]):
        verdict.false.append(f"doctor: 1, {damaged}")
    expected = trials_at(str(studies.template("finished")))
    verdict.compare(expected, trials_at(place.location), before, {*before})

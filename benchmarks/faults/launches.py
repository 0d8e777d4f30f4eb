"""Several launches of one study: at once, stopped and taken over, with clocks that jump."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from benchmarks.faults.commands import Running, Said, Shell
from benchmarks.faults.judge import Verdict, trials_at
from benchmarks.faults.plan import Fault
from benchmarks.faults.processes import finish, launch_of
from benchmarks.faults.studies import Place, Studies

LIFETIME = 2.0  # seconds of a lease, so that nobody waits for a minute
JUMPS = (-86400.0, -600.0, 600.0, 86400.0)  # seconds


def deal(fault: Fault, studies: Studies, shell: Shell, folder: Path) -> tuple[Verdict, str]:
    """Whatever they do to each other, one of them drives."""
    verdict = Verdict()
    place = studies.copy("unfinished", folder / "study", s3=fault.rng.random() < 0.3)
    inside = Shell(shell.folder, dict(studies.store)) if place.folder is None else shell
    before = trials_at(place.location)
    launch = launch_of(studies, place)
    if "at once" in fault.kind:
        what = _at_once(fault.rng, inside, launch, verdict)
    elif "taken over" in fault.kind:
        what = _taken_over(fault.rng, inside, launch, verdict)
    else:
        what = _clocks(fault.rng, inside, launch, verdict)
    finish(verdict, place, studies, inside, before)
    return verdict, f"{what}, {_kind(place)}"


def _kind(place: Place) -> str:
    return "s3" if place.folder is None else "local"


def _at_once(rng: random.Random, shell: Shell, launch: tuple[str, ...], verdict: Verdict) -> str:
    number = rng.choice((2, 3))
    running: list[Running] = []
    for _ in range(number):
        running.append(shell.start(*launch))
        time.sleep(rng.choice((0.0, rng.uniform(0.0, 1.5))))
    said = [verdict.hear(each.wait(), (0, 2, 3)) for each in running]
    if all(each.status == 2 for each in said):
        verdict.false.append("launches at once: nobody drives")
    _refused_by_lease(verdict, said)
    return f"{number} launches"


def _refused_by_lease(verdict: Verdict, said: list[Said]) -> None:
    for each in said:
        if (
            each.status == 2
            and "lease: " not in each.err
            and "taken the study over" not in each.err
        ):
            verdict.false.append(f"refused for another reason: {each.err!r}")


def _taken_over(rng: random.Random, shell: Shell, launch: tuple[str, ...], verdict: Verdict) -> str:
    stopped = shell.start(*launch, lifetime=LIFETIME)
    time.sleep(rng.uniform(0.3, 2.0))
    stopped.send(signal.SIGSTOP)
    time.sleep(rng.uniform(0.0, 1.5) * LIFETIME)
    # A driver that is alive is not replaced unless somebody says so, and its lease has expired.
    said = [verdict.hear(shell.run(*launch, lifetime=LIFETIME), (0, 2, 3))]
    time.sleep(LIFETIME)
    successor = shell.start(*launch, "--takeover", lifetime=LIFETIME)
    time.sleep(rng.uniform(0.0, 2.0))
    stopped.send(signal.SIGCONT)
    said += [verdict.hear(each.wait(), (0, 2, 3)) for each in (successor, stopped)]
    _refused_by_lease(verdict, said)
    return "stopped"


def _clocks(rng: random.Random, shell: Shell, launch: tuple[str, ...], verdict: Verdict) -> str:
    jump = rng.choice(JUMPS)
    running = shell.start(*launch, clock=jump)
    time.sleep(rng.uniform(0.5, 2.0))
    said = [verdict.hear(shell.run(*launch), (0, 2, 3)), verdict.hear(running.wait(), (0, 2, 3))]
    _refused_by_lease(verdict, said)
    return f"by {jump:.0f} s"

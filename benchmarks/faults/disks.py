"""Disks that are full, or that can only be read."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.commands import Said, Shell
from benchmarks.faults.judge import Verdict, trials_at
from benchmarks.faults.plan import Fault
from benchmarks.faults.processes import finish, launch_of
from benchmarks.faults.studies import Place, Studies

ROOM = 64 * 2**20  # bytes; enough for all of the study
NEEDED = 6 * 2**20  # bytes that a launch writes to finish it, most of them its page


def deal(fault: Fault, studies: Studies, shell: Shell, folder: Path) -> tuple[Verdict, str]:
    """A launch for which there is no room, or no right to write; then one for which there is."""
    verdict, rng = Verdict(), fault.rng
    disk = folder / "disk"
    disk.mkdir()
    with mounted(disk):
        place = studies.copy("unfinished", disk / "study", s3=False)
        before = trials_at(place.location)
        if "full" in fault.kind:
            left = rng.choice((rng.randrange(NEEDED), rng.randrange(200_000)))
            what = f"{left} bytes left"
            remount(disk, f"size={used(disk) + left}")
            said = verdict.hear(shell.run(*launch_of(studies, place)), (0, 2, 3))
        else:
            what, said = _read_only(fault, studies, shell, disk, place, verdict)
        if said.status == 2:
            _says_why(verdict, said, fault)
        verdict.hear(shell.run("status", place.location), (0,))
        remount(disk, f"rw,size={ROOM}")
        finish(verdict, place, studies, shell, before)
    return verdict, what


def _read_only(
    fault: Fault, studies: Studies, shell: Shell, disk: Path, place: Place, verdict: Verdict
) -> tuple[str, Said]:
    """From the start, or from some moment of the launch on."""
    if fault.rng.random() < 0.5:
        remount(disk, "ro")
        return "from the start", verdict.hear(shell.run(*launch_of(studies, place)), (2,))
    running = shell.start(*launch_of(studies, place))
    time.sleep(fault.rng.uniform(0.5, 2.5))
    while not remount(disk, "ro"):  # as long as a file is being written
        time.sleep(0.001)
    return "meanwhile", verdict.hear(running.wait(), (0, 2, 3))


def _says_why(verdict: Verdict, said: Said, fault: Fault) -> None:
    reason = "No space left" if "full" in fault.kind else "Read-only file system"
    if reason not in said.err:
        verdict.false.append(f"launch does not say {reason!r}: {said.err!r}")


@contextmanager
def mounted(disk: Path) -> Iterator[None]:
    """A disk of its own in memory, while entered."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def remount(disk: Path, options: str) -> bool:
    """Change what a disk allows; False if it is in use."""
    command = ["mount", "-o", f"remount,{options}", disk]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def used(disk: Path) -> int:
    """Bytes in use."""
    output = subprocess.run(
        ["df", "--output=used", "-B1", disk], capture_output=True, text=True, check=True
    )
    return int(output.stdout.split()[-1])

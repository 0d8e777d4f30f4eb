"""What runs in a forked process: the command line, with what a fault changes about its machine."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import run_sweep
from pipelines.ledger import lease, storage
from pipelines.ledger.attempt import Attempt


def main(
    arguments: list[str],
    environment: dict[str, str],
    texts: tuple[Path, Path],
    hooks: dict[str, float],
) -> None:
    """Run the command line as `python run_sweep.py` would.

    texts: files for its output and its errors. hooks: see `install`.
    """
    for stream, path in zip((1, 2), texts, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["run_sweep.py", *arguments]
    install(**hooks)
    run_sweep.main()


def install(
    clock: float = 0.0, lifetime: float = 0.0, die_at: float = 0, full_at: float = 0
) -> None:
    """Change what the process finds.

    clock: seconds by which its clock jumps, when it has been read a hundred times. lifetime: of a
    lease, in seconds. die_at: the checkpoint after which it kills itself. full_at: bytes after
    which its disk is full.
    """
    if clock:
        time.time = _jumping(clock)
    if lifetime:
        lease.LIFETIME = lifetime
    if die_at:
        Attempt.save_checkpoint = _dying(Attempt.save_checkpoint, int(die_at))
    if full_at:
        storage.os = _FullDisk(int(full_at))  # pyright: ignore[reportAttributeAccessIssue]


def _jumping(seconds: float) -> Callable[[], float]:
    read, now = 0, time.time

    def jumped() -> float:
        nonlocal read
        read += 1
        return now() + seconds * (read > 100)

    return jumped


def _dying(save: Callable[..., None], last: int) -> Callable[..., None]:
    saved = 0

    def dying(*arguments: Any) -> None:
        nonlocal saved
        save(*arguments)
        saved += 1
        if saved == last:
            os.kill(os.getpid(), signal.SIGKILL)

    return dying


class _FullDisk:
    """`os`, but nothing more is written once so many bytes have been."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, descriptor: int) -> None:
        """Synchronise, as long as there is room."""
        self.left -= os.fstat(descriptor).st_size
        if self.left < 0:
            raise OSError(28, os.strerror(28))
        os.fsync(descriptor)

"""Processes that descend from a test's own, whatever has become of their parents."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

NAME = "UNTUNED_TEST_MARK"


def marked_environment() -> dict[str, str]:
    """This environment with a mark that all descendants inherit."""
    return dict(os.environ) | {NAME: uuid.uuid4().hex}


def marked_processes(environment: dict[str, str]) -> dict[int, str]:
    """Command lines of the live processes with that mark, by process id."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{NAME}={environment[NAME]}".encode() not in (process / "environ").read_bytes():
                continue
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if state not in "ZX":
            found[int(process.name)] = command
    return found

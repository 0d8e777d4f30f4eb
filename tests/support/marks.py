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
    processes = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{NAME}={environment[NAME]}".encode() not in (folder / "environ").read_bytes():
                continue
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if state not in "ZX":
            processes[int(folder.name)] = command
    return processes

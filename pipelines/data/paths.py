"""Paths that a person typed: whatever they hold, asking whether something is there is no error."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def is_there(path: Path, kind: Literal["file", "folder"]) -> bool:
    """Whether there is a regular file, or a folder, at a path."""
    try:
        there = path.is_file() if kind == "file" else path.is_dir()
        path.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        # A NUL in it is a ValueError, a circle of links a RuntimeError; too long a name an OSError.
        return False
    return there

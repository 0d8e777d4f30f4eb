"""What every storage knows of a file."""

from __future__ import annotations

from dataclasses import dataclass

SCRATCH = ".tmp"  # half-written local files live here, on the same file system as the final ones


@dataclass(frozen=True)
class File:
    """One stored file: its path, a token that changes whenever it is written again, its bytes."""

    path: str
    version: str
    size: int

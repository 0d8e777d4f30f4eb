"""Where the parts run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Place:
    """Where a part runs.

    out: for its files. images: JPEG CIFAR-10 in the ImageFolder layout. tiny: sizes of a dry run.
    """

    out: Path
    device: torch.device
    images: Path | None = None
    tiny: bool = False

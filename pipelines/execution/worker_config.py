"""How a launch runs its trials; none of it changes a number by more than rounding.

Imports nothing that takes time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.study.protocol import Protocol
from pipelines.tracking.mode import Mode
from pipelines.training.fast_paths import ALL_FAST, FastPaths


@dataclass(frozen=True)
class WorkerConfig:
    """What all trials of a launch have in common; travels to every worker."""

    storage: str
    study: str
    protocols: Mapping[str, Protocol]  # by scenario; "" is the study's own
    device: str
    tracking: Mode
    tracking_dir: str
    commit: str | None  # of the driver's code; workers may have a copy without its history
    modules: Mapping[str, str] = field(default_factory=dict)  # of the study's own: their folders
    checkpoint_seconds: float = 60.0
    fast: FastPaths = ALL_FAST
    fingerprint: str | None = None  # of the study's data, as the driver has read it
    study_id: str | None = None  # what study.json says; W&B's runs are called by it


@dataclass(frozen=True)
class Resources:
    """What one trial takes, and how many run at once (None: as many as fit)."""

    cpus: float = 1.0
    gpus: float = 0.0
    concurrent: int | None = None

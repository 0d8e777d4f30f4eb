"""How a launch runs its trials; none of it changes a number by more than rounding.

Imports nothing that takes time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipelines.documents import Json
from pipelines.study.node_labels import ANY
from pipelines.study.protocol import Protocol
from pipelines.tracking.mode import Mode
from pipelines.training.fast_paths import ALL_FAST, FastPaths

ACCELERATOR = "accelerator_type:"  # a resource of nodes with such GPUs begins so


@dataclass(frozen=True)
class NodeCheck:
    """What a machine is asked: whether it sees `marker` in `storage`, and reaches `url`.

    digest: of the marker's content. url: of W&B's server, for which it then needs a key, too.
    wanted: versions and code of the driver.
    """

    storage: str | None = None
    marker: str | None = None
    digest: str | None = None
    url: str | None = None
    wanted: Json | None = None


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
    #: Of the study's own modules, and of folders of networks: where they lie.
    modules: Mapping[str, str] = field(default_factory=dict)
    checkpoint_seconds: float = 60.0
    fast: FastPaths = ALL_FAST
    fingerprint: str | None = None  # of the study's data, as the driver has read it
    study_id: str | None = None  # what study.json says; W&B's runs are called by it
    event_files: bool = False  # whether each trial writes one for TensorBoard
    check: NodeCheck = NodeCheck()  # that a node must pass before it runs a trial


@dataclass(frozen=True)
class Resources:
    """What one trial takes, and how many run at once (None: as many as fit).

    accelerator: the type of GPU, as Ray names it. labels: that a node must have.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    concurrent: int | None = None
    accelerator: str = ANY
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs(self) -> dict[str, float]:
        """Of one trial, by Ray's names; what it does not need is left out."""
        amounts = {"CPU": self.cpus, "GPU": self.gpus}
        if self.accelerator != ANY and self.gpus:
            amounts[f"{ACCELERATOR}{self.accelerator}"] = 0.001  # as Ray itself asks for one
        return {name: amount for name, amount in amounts.items() if amount}

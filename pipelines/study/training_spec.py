"""What one trial trains, as its training loop and its planner know it."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.study.augmentations import augmentations_of
from pipelines.study.phases import Phase
from pipelines.study.pretrained import PRETRAINED, pretrained_options
from pipelines.study.protocol import Protocol
from pipelines.trial_documents import TrialSpec


@dataclass(frozen=True)
class TrainingSpec:
    """All that a trial's numbers depend on, beside the code.

    protocol: of the trial's scenario; data_seed: splits, noise draw and class mapping; run_seed:
    initialisation, order, augmentation and meta draws.
    """

    protocol: Protocol
    phases: tuple[Phase, ...]
    data_seed: int
    run_seed: int

    @classmethod
    def of(cls, spec: TrialSpec, protocol: Protocol) -> TrainingSpec:
        """From a trial's spec and the protocol of its scenario."""
        phases = tuple(Phase.model_validate(phase) for phase in spec["phases"])
        return cls(protocol, phases, spec["data_seed"], spec["run_seed"])

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that it names: methods, and a user's own model, source, optimizer and so on.

        But for PyTorch's: its version is part of every result by itself.
        """
        protocol = self.protocol
        named = [protocol.model.name, protocol.data.source, *augmentations_of(protocol.augment)]
        named += [encoder for encoder in protocol.data.encoders if isinstance(encoder, str)]
        if protocol.model.name == PRETRAINED:
            named.append(pretrained_options(protocol.model.options).own or "")
        named += [phase.method for phase in self.phases]
        named += [
            phase.schedule.get("optimizer", protocol.schedule.optimizer) for phase in self.phases
        ]
        modules = {name.partition(":")[0] for name in named if ":" in name}
        return tuple(sorted(m for m in modules if m.partition(".")[0] != "torch"))

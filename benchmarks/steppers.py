"""All ways to take a training step, each on a real trial on random images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from benchmarks.peers import PEERS
from benchmarks.timing import Record
from pipelines.hypergradient.meta_step import MetaLearner
from pipelines.models.network import same_random_state
from pipelines.study.arms import resolve_arm
from pipelines.study.phases import Meta
from pipelines.study.protocol import Protocol
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.cuda_graph import CapturedSteps
from pipelines.training.fast_paths import FastPaths
from pipelines.training.phase import PhaseTraining
from pipelines.training.recorder import recorder_for
from pipelines.training.trial import TrainingRun

EPOCH = 1  # the second: nothing of it is observed for the history


@dataclass(frozen=True)
class Case:
    """One way to take a step.

    An arm, what its `meta` says, a peer's library in its place, fast paths that are left out.
    """

    arm: str
    meta: dict[str, Any] = field(default_factory=dict)
    peer: str | None = None
    without: tuple[str, ...] = ()


CASES = [
    Case("ce"),
    Case("l2rw"),
    Case("l2rw", {"engine": "finite_difference"}),
    Case("l2rw", {"engine": "one_sided_difference", "graph": "retain"}),
    Case("l2rw", {"engine": "double_backward"}),
    Case("l2rw", {"last_layers": 1}),
    Case("mw_net"),
    Case("mw_net", {"graph": "retain"}),
    Case("mw_net", {"lookahead": "alternating"}),
    Case("mw_net", {"step": "own"}),
    Case("mw_net", {"engine": "finite_difference"}),
    Case("mw_net", {"engine": "one_sided_difference", "lookahead": "alternating"}),
    Case("mw_net", {"engine": "double_backward"}),
    Case("mw_net", {"last_layers": 1}),
    Case("gce_learned"),
    Case("gce_learned", {"engine": "forward_accumulation"}),
    Case("gce_learned", {"horizon": 2}),
    Case("gce_learned", {"engine": "forward_accumulation", "horizon": 2}),
    Case("gce_learned", {"engine": "t1_t2"}),
    Case("gce_learned", {"engine": "neumann", "terms": 2}),
    Case("gce_learned", {"engine": "conjugate_gradient", "terms": 2}),
    Case("wd_learned"),
    Case("maxup"),
    Case("pgd_training"),
    *(Case("mw_net", {"engine": "double_backward"}, peer) for peer in PEERS),
]


@dataclass(frozen=True)
class Shape:
    """What is trained: the model, its options, and the size of things."""

    model: str
    batch: int
    classes: int = 10
    options: dict[str, Any] = field(default_factory=dict)
    precision: str = "float32"
    threads: int = 1

    def protocol(self) -> Protocol:
        """The protocol of such a trial."""
        return Protocol.model_validate(
            {
                "data": {"source": f"benchmarks.images:images_{self.classes}"},
                "splits": {
                    "meta": max(self.batch, self.classes),
                    "val": self.classes,
                    "test": self.classes,
                },
                "augment": "crop_flip",
                "attack": {"epsilon": 8 / 255},
                "model": {"name": self.model, "options": self.options},
                "schedule": {"batch_size": self.batch},
                "precision": self.precision,
                "threads": self.threads,
            }
        )


class Stepper:
    """Takes the steps of one case, on a trial that cases of the same arm share."""

    def __init__(self, case: Case, trial: TrainingRun, batch: int) -> None:
        self.case, self.training = case, trial.training
        phase = self.training.phase
        how = Meta.model_validate(phase.meta.model_dump() | {"batch_size": batch} | case.meta)
        self.phase = phase.model_copy(update={"meta": how})
        kind = PEERS[case.peer] if case.peer else MetaLearner
        self.meta = kind(self.training.objective, self.training.network, how, trial.fast.fused)
        # A peer's step allocates and reads as it likes.
        recorded = trial.fast.cuda_graph and not case.peer
        recorder = recorder_for(trial.device) if recorded else None
        self.captured_steps = (
            CapturedSteps(recorder, trial.protocol.precision) if recorder else None
        )
        self.draws = _draws(self)
        self.passes = 0

    def __call__(self) -> None:
        """One step."""
        self.enter()
        step = next(self.draws)
        _, self.passes = self.training.step(step[1], EPOCH, step[0])

    def recording(self) -> Record:
        """How many steps were replays of a recording, and why not, where they were not."""
        captured = self.captured_steps
        return {
            "steps_replayed": captured.replayed if captured else 0,
            "not_replayed": captured.fallback_reason if captured else None,
        }

    def enter(self) -> None:
        """The trial takes its steps in this way."""
        training = self.training
        training.phase, training.meta, training.captured_steps = (
            self.phase,
            self.meta,
            self.captured_steps,
        )


def _draws(stepper: Stepper) -> Iterator[tuple[int, Any]]:
    """Of one size: a step of another would be recorded on its own."""
    while True:
        stepper.enter()
        draws = list(enumerate(stepper.training.epoch_inputs(EPOCH)))
        yield from (found for found in draws if len(found[1].rows) == len(draws[0][1].rows))


def flat(shape: Shape) -> Record:
    """A shape as part of a record: its options as one text."""
    options = " ".join(f"{name}={value}" for name, value in shape.options.items())
    return asdict(shape) | {"options": options}


def make_trial(
    shape: Shape, arm: str, device: torch.device, without: tuple[str, ...] = ()
) -> TrainingRun:
    """A trial of an arm on that shape, before its first step."""
    phases = tuple(resolve_arm(arm, {}).resolve({}))
    spec = TrainingSpec(shape.protocol(), phases, data_seed=0, run_seed=0)
    with same_random_state(device):
        return TrainingRun(spec, device, FastPaths.without(without))


def loader(training: PhaseTraining) -> Callable[[], None]:
    """The data path of a step: draws, crops, flips, normalisation."""

    def batches() -> Iterator[None]:
        while True:
            for step_inputs in training.epoch_inputs(EPOCH):
                training.batches.training(step_inputs, ())
                yield

    found = batches()
    return lambda: next(found)

"""What a launch would cost: trials and passes by arithmetic, seconds by a short measurement."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from pipelines.arms import Arm, Phase, Value, build_method
from pipelines.data import Task, prepare
from pipelines.meta_learning import meta_passes
from pipelines.planner import Planner, data_seed
from pipelines.study import Schedule, Study
from pipelines.training import Trial

STEPS = 40
LEDGER_BYTES = (
    60_000  # a trial's spec, result and history, and its W&B run, as measured on the ready studies
)


@dataclass(frozen=True)
class Estimate:
    """One arm's share of a launch. seconds: of one worker; files: bytes."""

    trials: int
    passes: int
    seconds: float
    files: int


def estimate(study: Study) -> dict[str, Estimate]:
    """Cost of each arm of a study from nothing, on this machine's CPU.

    An arm's passes are those of its default configuration; the speed is that of its first steps.
    """
    planner = Planner(study, "plan", {}, {})
    task = prepare(study.protocol, data_seed(study, 0))
    found = {}
    for name, arm in study.arms.items():
        trials, passes = planner.planned[name], passes_of(arm, {}, study, task)
        seconds_per_pass, model_bytes = _measure(study, arm)
        kept = study.request.seeds * study.request.repeats * (2 if arm.tuned else 1)
        files = trials * LEDGER_BYTES + kept * model_bytes
        found[name] = Estimate(trials, trials * passes, trials * passes * seconds_per_pass, files)
    return found


def passes_of(arm: Arm, config: dict[str, Value], study: Study, task: Task) -> int:
    """Example passes of one trial: forward 1, backward 2, forward mode 3."""
    protocol = study.protocol
    total = 0
    for phase in arm.resolve(config):
        schedule = Schedule.model_validate(protocol.schedule.model_dump() | phase.schedule)
        size = (
            len(task.train)
            if "train" in phase.pool
            else len(task.pool(phase.pool, phase.meta_repeat))
        )
        steps = math.ceil(size / schedule.batch_size)
        epochs = max(1, round(phase.epochs * protocol.schedule.epochs))
        total += epochs * (3 * size + _meta_passes(phase, size, steps, len(task.meta)))
    return total


def _meta_passes(phase: Phase, size: int, steps: int, meta: int) -> int:
    method = build_method(phase.method, phase.hyperparameters)
    if not (method.per_batch or method.meta_parameters()):
        return 0
    clean = min(phase.meta.batch_size, meta) * steps
    return meta_passes(phase.meta, method.per_batch, size, clean) // phase.meta.every


def default_spec(study: Study, arm: Arm) -> dict[str, Any]:
    """A trial of an arm in its default configuration, to measure what it takes."""
    return {
        "protocol": study.protocol.model_dump(mode="json"),
        "phases": [phase.model_dump() for phase in arm.resolve({})],
        "change": {},
        "data_seed": data_seed(study, 0),
        "run_seed": 0,
    }


def _measure(study: Study, arm: Arm) -> tuple[float, int]:
    """Seconds per pass of an arm's first steps, and bytes of its model."""
    trial = Trial(default_spec(study, arm), torch.device("cpu"))
    steps = trial.steps()
    next(steps)
    passes, start = trial.passes, time.perf_counter()
    for _ in islice(steps, STEPS):
        pass
    seconds = time.perf_counter() - start
    size = sum(t.numel() * t.element_size() for t in trial.model.state_dict().values())
    return seconds / max(1, trial.passes - passes), size

"""What a launch would cost: trials and passes by arithmetic, seconds by a short measurement."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice

import torch

from pipelines.data.task import prepare
from pipelines.planning.planner import Planner
from pipelines.planning.specs import data_seed, default_spec
from pipelines.study.arms import Arm
from pipelines.study.study_file import Study
from pipelines.training.passes import passes_of
from pipelines.training.trial import TrainingRun

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
    estimates = {}
    for name, arm in study.arms.items():
        trials, passes = planner.planned[name], passes_of(arm, {}, study, task)
        seconds_per_pass, model_bytes = _measure(study, arm)
        kept = study.request.seeds * study.request.repeats * (2 if arm.tuned else 1)
        files = trials * LEDGER_BYTES + kept * model_bytes
        estimates[name] = Estimate(
            trials, trials * passes, trials * passes * seconds_per_pass, files
        )
    return estimates


def _measure(study: Study, arm: Arm) -> tuple[float, int]:
    """Seconds per pass of an arm's first steps, and bytes of its model."""
    trial = TrainingRun(default_spec(study, arm), torch.device("cpu"))
    steps = trial.steps()
    next(steps)
    passes, start = trial.passes, time.perf_counter()
    for _ in islice(steps, STEPS):
        pass
    seconds = time.perf_counter() - start
    size = sum(t.numel() * t.element_size() for t in trial.model.state_dict().values())
    return seconds / max(1, trial.passes - passes), size

"""What a launch would cost: trials and passes by arithmetic, seconds by a short measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from pipelines.data.task import prepare
from pipelines.planning.planner import Planner
from pipelines.planning.specs import data_seed, default_spec
from pipelines.study.arms import Arm
from pipelines.study.method_loading import is_fitted
from pipelines.study.study_file import Study
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.fitting import FittingRun
from pipelines.training.passes import passes_of
from pipelines.training.rehearsal import some
from pipelines.training.trial import TrainingRun

STEPS = 40
EXAMPLES = 2000  # of a fit
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


def estimate(study: Study, say: Callable[[str], None] = lambda arm: None) -> dict[str, Estimate]:
    """Cost of each arm of a study from nothing, on this machine's CPU.

    say: is told which arm is measured.

    An arm's passes are those of its default configuration; the speed is that of its first steps. A
    model that is fitted at once is fitted once.
    """
    planner = Planner(study, "plan", {}, {})
    task = prepare(study.protocol, data_seed(study, 0))
    estimates = {}
    for name, arm in study.arms.items():
        trials, passes = planner.planned[name], passes_of(arm, {}, study, task)
        say(name)
        seconds, model_bytes = _measure(study, arm, passes)
        kept = study.request.seeds * study.request.repeats * (2 if arm.tuned else 1)
        kept *= 1 + planner.common.moves("", name)  # and once more under common values
        brackets = [b for search, b in planner.brackets.items() if search.arm == name]
        whole = trials - sum(b.size - b.rule.whole_runs(b.size) for b in brackets)
        # What is stopped early keeps a checkpoint: the weights, and as much of the optimizer.
        kept += 2 * sum(b.size for b in brackets)
        files = trials * LEDGER_BYTES + kept * model_bytes
        estimates[name] = Estimate(trials, round(whole * passes), whole * seconds, files)
    return estimates


def _measure(study: Study, arm: Arm, passes: int) -> tuple[float, int]:
    """Seconds of a trial of so many passes, by an arm's first steps, and bytes of its model."""
    spec = default_spec(study, arm)
    if is_fitted(spec.phases[0].method):
        return _measure_fit(spec)
    trial = TrainingRun(spec, torch.device("cpu"))
    steps = trial.steps()
    next(steps)
    before, start = trial.passes, time.perf_counter()
    for _ in islice(steps, STEPS):
        pass
    seconds = time.perf_counter() - start
    return passes * seconds / max(1, trial.passes - before), _bytes(trial.model.state_dict())


def _measure_fit(spec: TrainingSpec) -> tuple[float, int]:
    """The same of a model that is fitted at once, in proportion to the training examples."""
    task = prepare(spec.protocol, spec.data_seed)
    fewer = some(task, EXAMPLES)
    trial = FittingRun(spec, torch.device("cpu"), fewer)
    next(trial.steps())
    share = len(fewer.train) / len(task.train)
    return trial.seconds / share, _bytes(trial.state_dict()["model"])


def _bytes(state: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in state.values())

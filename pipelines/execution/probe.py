"""Measures what a study's arms take of a GPU: memory, seconds per step, and how busy it is."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, islice

import torch
from torch.profiler import ProfilerActivity, profile

from pipelines.execution.packing import Cost, Probed, ProbeSpecs
from pipelines.models.network import EVALUATION_BATCH
from pipelines.planning.specs import default_spec
from pipelines.study.method_loading import is_fitted
from pipelines.study.study_file import Study
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.cuda_graph import WARM_UP
from pipelines.training.trial import TrainingRun

WARM_STEPS = WARM_UP + 2  # the last is a replay
TIMED_STEPS = 10


def probe_specs(study: Study) -> ProbeSpecs:
    """By arm: each phase of its default configuration that trains, as a trial of its own."""
    by_arm: ProbeSpecs = {}
    for name, arm in study.arms.items():
        spec = default_spec(study, arm)
        trained = [phase for phase in spec.phases if not is_fitted(phase.method)]
        by_arm[name] = [replace(spec, phases=(phase,)) for phase in trained]
    return by_arm


def probe(specs: ProbeSpecs, device: torch.device) -> Probed:
    """What each arm takes in some steps of each of its phases, and the bytes of the GPU.

    An arm that fails otherwise than for want of memory is not measured; its trials will fail too.
    """
    _, total = torch.cuda.mem_get_info(device)
    costs, unmeasured = [], []
    for arm, phases in specs.items():
        try:
            costs += [_cost(arm, spec, device) for spec in phases]
        except torch.cuda.OutOfMemoryError:
            costs.append(Cost(arm, total, 0.0, None))
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            unmeasured.append(f"GPU: arm {arm!r} could not be measured ({reason})")
    return Probed(costs, total, unmeasured)


def _cost(arm: str, spec: TrainingSpec, device: torch.device) -> Cost:
    gc.collect()  # what the last one left would count as this one's
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    trial = TrainingRun(spec, device)
    for _ in islice(trial.steps(), WARM_STEPS):
        pass
    inputs = trial.task.train.x[:EVALUATION_BATCH]
    trial.training.network.evaluate([trial.task.normalise(inputs)])
    drawn = trial.training.epoch_inputs(0)
    draws = cycle(
        [step_inputs for step_inputs in drawn if len(step_inputs.rows) == len(drawn[0].rows)]
    )

    def steps() -> None:
        for number in range(TIMED_STEPS):
            trial.training.step(next(draws), 0, number)

    steps()  # where some have no meta step, these are recorded here
    seconds = _seconds(steps, device)
    computing = _device_seconds(steps, device)
    peak = torch.cuda.max_memory_reserved(device)  # replayed steps hold on to theirs
    return Cost(arm, peak, seconds / TIMED_STEPS, computing / seconds if computing else None)


def _seconds(run: Callable[[], None], device: torch.device) -> float:
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _device_seconds(run: Callable[[], None], device: torch.device) -> float:
    """Sum over kernels and copies, as the profiler saw them on the device.

    Annotations would count them twice.
    """
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        run()
        torch.cuda.synchronize(device)
    events = [e for e in seen.events() or [] if e.device_type.name == "CUDA"]
    return sum(e.self_device_time_total for e in events if not e.is_user_annotation) / 1e6

"""How far the device's numbers are off: of hypergradients, and of the same trial run again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.approximations import errors, gradient
from benchmarks.gpu.place import Place
from benchmarks.gpu.steps import shape_of
from benchmarks.record_file import Record
from benchmarks.steppers import make_trial
from pipelines.training.fast_paths import ALL_FAST, FastPaths
from pipelines.training.process_settings import set_precision
from pipelines.training.trial import TrainingRun

EVERY = 10  # steps
REPEATED = {"graph": ALL_FAST, "plain": FastPaths.without(["cuda_graph"])}


def hypergradients(place: Place) -> Iterator[Record]:
    """Each precision's, against double backward in float64, over the steps of an epoch."""
    for arm in ("l2rw", "mw_net"):
        training = make_trial(
            shape_of("resnet32", "float32", place), arm, place.device, ("cuda_graph",)
        ).training
        for step, step_inputs in enumerate(training.epoch_inputs(0)):
            if step % EVERY == EVERY - 1:
                at = (
                    training,
                    training.batches.training(step_inputs, ()),
                    training.batches.clean_loss(step_inputs, ()),
                )
                exact = gradient(*at, {"engine": "double_backward"}, torch.float64)
                for precision, how in _ways():
                    set_precision(precision)
                    autocast = precision == "bfloat16"
                    found = gradient(*at, how, torch.float32, autocast)
                    names = ("relative_error", "cosine", "signs_differ")
                    off = dict(zip(names, errors(found, exact), strict=True))
                    yield {"arm": arm, "step": step, "precision": precision} | how | off
                set_precision("float32")
            training.step(step_inputs, 0, step)
            if place.tiny and step >= EVERY:
                break


def _ways() -> Iterator[tuple[str, dict[str, Any]]]:
    for precision in ("float32", "tfloat32", "bfloat16"):
        yield precision, {"engine": "forward"}
        yield precision, {"engine": "double_backward"}
    yield "float32", {"engine": "finite_difference"}
    yield "tfloat32", {"engine": "finite_difference"}


def repeated(place: Place) -> Iterator[Record]:
    """The same epoch twice: how far apart the losses of its steps are."""
    for arm in ("ce", "l2rw"):
        for name, fast in REPEATED.items():
            one, other = (_losses(arm, fast, place) for _ in range(2))
            apart = [abs(a - b) / abs(a) for a, b in zip(one, other, strict=True)]
            yield {"arm": arm, "way": name, "steps": len(one)} | {
                "first_that_differs": next((n for n, d in enumerate(apart) if d), None),
                "relative_difference_at_the_end": apart[-1],
            }


def _losses(arm: str, fast: FastPaths, place: Place) -> list[float]:
    trial: TrainingRun = make_trial(
        shape_of("resnet32", "float32", place), arm, place.device, tuple(fast.left_out())
    )
    training, found = trial.training, []
    for step, step_inputs in enumerate(training.epoch_inputs(0)[: 5 if place.tiny else None]):
        training.step(step_inputs, 0, step)
        found.append(training.sums["loss"].clone())
    return [float(value) for value in found]

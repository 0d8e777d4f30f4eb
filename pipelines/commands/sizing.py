"""How much of a study fits into the time that a person has: `new --minutes`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pipelines.execution.estimate import estimate
from pipelines.execution.progress import format_duration
from pipelines.planning.planner import Planner
from pipelines.study.study_file import Study

#: Of the time that is asked for; evaluation, workers and the report take the rest.
FILLED = 0.8
START_SECONDS = 20.0  # of a launch, before the first trial
FEWEST_EPOCHS = 10
#: What is left out last: the questions that a study is for need these.
FEW = ("ce", "gce", "gce_plus_meta", "clean_only_long", "finetune_long", "glc", "l2rw_safe")
FEWEST = ("ce", "gce", "finetune_long", "l2rw_safe")
NO_NETWORKS = ("logistic_regression", "boosted_trees")  # which cost little
#: Trials, repeats and seeds, how much of the epochs, and which arms: from most to least.
STEPS = (
    (20, 5, 2, 1.0, None),
    (10, 5, 2, 1.0, None),
    (10, 3, 2, 1.0, None),
    (6, 3, 2, 1.0, None),
    (6, 3, 1, 1.0, None),
    (4, 3, 1, 1.0, FEW),
    (4, 3, 1, 0.5, FEW),
    (3, 3, 1, 0.5, FEWEST),
    (3, 3, 1, 0.25, FEWEST),
    (2, 1, 1, 0.25, FEWEST),
)


class Size(NamedTuple):
    """How much of a study is run, the seconds that it takes by a measurement, and that in words."""

    trials: int
    repeats: int
    seeds: int
    epochs: int
    arms: list[str]
    seconds: float
    told: str = ""


def size_for(study: Study, minutes: float) -> Size:
    """How much of a study fits into so many minutes of this machine, by a few steps of each arm."""
    trial_seconds = {name: cost.seconds / cost.trials for name, cost in estimate(study).items()}
    workers = max(1, (os.cpu_count() or 1) // study.protocol.threads)
    size = fitting(study, trial_seconds, 60 * minutes, workers)
    takes = START_SECONDS + size.seconds
    said = f"about {format_duration(takes)} with {workers} at once, as measured here"
    if takes > 60 * minutes:
        return size._replace(told=f"More than {minutes:g} minutes, but the least there is: {said}.")
    return size._replace(told=f"Sized for {minutes:g} minutes: {said}.")


def fitting(study: Study, trial_seconds: Mapping[str, float], seconds: float, workers: int) -> Size:
    """The largest size that fits, or the smallest that there is.

    trial_seconds: of an arm's trial in the study's own epochs; seconds: that a person has; workers:
    trials at once.
    """
    for size in _sizes(study, trial_seconds, workers):
        if START_SECONDS + size.seconds <= FILLED * seconds:
            break
    return size


def _sizes(study: Study, trial_seconds: Mapping[str, float], workers: int) -> Iterator[Size]:
    epochs = study.protocol.schedule.epochs
    for trials, repeats, seeds, share, few in STEPS:
        arms = [name for name in study.request.arms if few is None or _is_among(name, few)]
        shorter = min(epochs, max(FEWEST_EPOCHS, round(share * epochs)))
        changes = {"arms": arms, "trials": trials, "repeats": repeats, "seeds": seeds}
        request = study.request.model_copy(update=changes)
        planned = Planner(study.model_copy(update={"request": request}), "plan", {}, {}).planned
        total = sum(planned[arm] * trial_seconds[arm] for arm in arms)
        yield Size(trials, repeats, seeds, shorter, arms, total * shorter / epochs / workers)


def _is_among(arm: str, few: Sequence[str]) -> bool:
    return arm in few or arm.startswith(NO_NETWORKS)

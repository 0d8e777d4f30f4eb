"""Parts of a trial's spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from methods.objective import seed_of
from pipelines.analysis.selection import highest
from pipelines.study.arms import Arm
from pipelines.study.search_space import Value
from pipelines.study.study_file import Study
from pipelines.study.training_spec import TrainingSpec

Config = dict[str, Value]
Score = float | None  # on val; None of a trial that failed


class Ended(NamedTuple):
    """A trial of a search that ended, with its score on val; None if it failed.

    second: its value of the second aim, where the search has one; None if it failed or diverged.
    """

    config: Config
    score: Score
    second: float | None = None


Searched = Mapping[int, Ended]  # the trials of a search that ended, by index


def selected_config(searched: Searched) -> Config | None:
    """The configuration with the best score on val; of equals, the one of lowest index.

    Whatever else the search goes by. None: all failed.
    """
    index = highest({index: trial.score for index, trial in searched.items()})
    return None if index is None else searched[index].config


def default_spec(study: Study, arm: Arm) -> TrainingSpec:
    """A trial of an arm in its default configuration, to measure what it takes."""
    return TrainingSpec(study.protocol, tuple(arm.resolve({})), data_seed(study, 0), run_seed=0)


def data_seed(study: Study, repeat: int, scenario: str = "") -> int:
    """Splits, noise draw and class mapping of a repeat, the same for all arms of a scenario."""
    return seed_of(study.protocol.seed, "data", *filter(None, [scenario]), repeat)

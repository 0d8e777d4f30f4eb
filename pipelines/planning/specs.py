"""Parts of a trial's spec."""

from __future__ import annotations

from methods.objective import seed_of
from pipelines.study.arms import Arm
from pipelines.study.search_space import Value
from pipelines.study.study_file import Study
from pipelines.study.training_spec import TrainingSpec

Config = dict[str, Value]


def default_spec(study: Study, arm: Arm) -> TrainingSpec:
    """A trial of an arm in its default configuration, to measure what it takes."""
    return TrainingSpec(study.protocol, tuple(arm.resolve({})), data_seed(study, 0), run_seed=0)


def data_seed(study: Study, repeat: int, scenario: str = "") -> int:
    """Splits, noise draw and class mapping of a repeat, the same for all arms of a scenario."""
    return seed_of(study.protocol.seed, "data", *filter(None, [scenario]), repeat)

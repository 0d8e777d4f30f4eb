"""Parts of a trial's spec."""

from __future__ import annotations

from typing import Any

from methods.objective import seed_of
from pipelines.study.arms import Arm
from pipelines.study.search_space import Value
from pipelines.study.study_file import Study


def default_spec(study: Study, arm: Arm) -> dict[str, Any]:
    """A trial of an arm in its default configuration, to measure what it takes."""
    return {
        "protocol": study.protocol.model_dump(mode="json"),
        "phases": [phase.model_dump() for phase in arm.resolve({})],
        "change": {},
        "data_seed": data_seed(study, 0),
        "run_seed": 0,
    }


Config = dict[str, Value]


def data_seed(study: Study, repeat: int, scenario: str = "") -> int:
    """Splits, noise draw and class mapping of a repeat, the same for all arms of a scenario."""
    return seed_of(study.protocol.seed, "data", *filter(None, [scenario]), repeat)

"""What a study asks for: how much to run, of which arms."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator, model_validator

from pipelines.study.common_knobs import check_addresses
from pipelines.study.node_labels import ANY, Labels
from pipelines.study.search_space import Range
from pipelines.study.stopping import Stopping
from pipelines.study.validation import Strict
from pipelines.study.warm_start import WarmStart

MOST = 100_000  # trials, repeats or seeds: beyond, it is a slip of the pen


class Request(Strict):
    """How much to run. May change from launch to launch; finished trials are never repeated."""

    arms: list[str] = Field(min_length=1)
    trials: int = Field(
        20,
        ge=0,
        le=MOST,
        description="trials of the search per tuned arm and repeat, beside its default",
    )
    repeats: int = Field(
        3, ge=1, le=MOST, description="repeats of the whole search, each with its own data seed"
    )
    seeds: int = Field(
        default=2, ge=1, le=MOST, description="fresh run seeds per repeat for the final phase"
    )
    curve: bool = Field(
        True, description="retrain every searched configuration once: budget curves, b*"
    )
    stopping: Stopping = Field(
        default=Stopping(), description="of the trials of searches, before their end"
    )
    stopping_of: dict[str, Stopping] = Field(
        default={}, description="of single arms, where it is another"
    )
    warm_start: WarmStart = Field(
        default=WarmStart(), description="what searches begin with, after the default"
    )
    common: Annotated[dict[str, Range], AfterValidator(check_addresses)] = Field(
        default={}, description="entries of the schedule that are chosen for every arm by one rule"
    )
    common_trials: int = Field(
        default=4, ge=1, le=MOST, description="of each arm and repeat, beside the study's values"
    )
    sensitivity: list[str] = Field(
        default=[], description="arms whose knobs are moved by 1/4, 1/2, 2 and 4, one at a time"
    )
    axes: dict[str, list[Any]] = Field(
        default={}, description="protocol entries that are varied, one at a time: scenarios"
    )
    margin: float = Field(
        default=0.01, gt=0, description="of non-inferiority, in units of the metric"
    )
    accelerator: str = Field(
        default=ANY, min_length=1, description="type of GPU that trials run on, as Ray names it"
    )
    labels: Labels = Field(
        default={}, description="Ray's, of the nodes of a cluster that trials run on"
    )

    @field_validator("axes")
    @classmethod
    def _not_empty(cls, axes: dict[str, list[Any]]) -> dict[str, list[Any]]:
        if empty := [address for address, values in axes.items() if not values]:
            raise ValueError(f"no values for {', '.join(empty)}")
        if "splits.test" in axes:
            raise ValueError("splits.test: all of a study is tested on the same examples")
        return axes

    def stopping_for(self, arm: str) -> Stopping:
        """How the searches of an arm are stopped."""
        return self.stopping_of.get(arm, self.stopping)

    @field_validator("arms")
    @classmethod
    def _distinct(cls, arms: list[str]) -> list[str]:
        twice = sorted({a for a in arms if arms.count(a) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return arms

    @model_validator(mode="after")
    def _trials_of_something(self) -> Request:
        """They would choose nothing, and nobody would be told."""
        default = type(self).model_fields["common_trials"].default
        if not self.common and self.common_trials != default:
            raise ValueError("common_trials: request.common names nothing to choose")
        return self

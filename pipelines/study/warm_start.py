"""Configurations that searches begin with, after the published default: from another study, say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import Field, model_validator

from pipelines.errors import UserError
from pipelines.study.arms import Arm
from pipelines.study.search_space import Value, describe_distribution
from pipelines.study.validation import Strict, preview

Configs = Mapping[str, list[dict[str, Value]]]
KEY = "request.warm_start"


class WarmStart(Strict):
    """The first trials of every tuned arm's search, by the same rule for all arms.

    They are read from the sources once, at the first launch, and are part of the request from then
    on.
    """

    sources: list[str] = Field(
        default=[], description="directories of studies, and files of configurations"
    )
    configs: dict[str, list[dict[str, Value]]] = Field(
        default={}, description="by arm; as a study file, or the sources, say"
    )

    @model_validator(mode="before")
    @classmethod
    def _by_source(cls, value: Any) -> Any:
        named = [value] if isinstance(value, str) else value
        return {"sources": named} if isinstance(named, list) else named

    @property
    def unread(self) -> bool:
        """Whether the sources have still to be read."""
        return bool(self.sources) and not self.configs


def first_configs(
    warm_start: WarmStart, name: str, arm: Arm, trials: int
) -> list[dict[str, Value]]:
    """What an arm's search begins with: each once, without the default, which is trial 0.

    trials: of the search; these are the first of them.
    """
    default = {address: arm.default[address] for address in arm.space}
    distinct: list[dict[str, Value]] = []
    for config in warm_start.configs.get(name, []) if arm.tuned else []:
        typed = {a: _typed(d, config[a]) for a, d in arm.space.items()}
        if typed not in (default, *distinct):
            distinct.append(typed)
    return distinct[:trials]


def check_warm_start(warm_start: WarmStart, arms: Mapping[str, Arm]) -> None:
    """Every tuned arm begins with something, and all of it lies within its search space.

    Raises:
        UserError: something is not so.
    """
    if not warm_start.configs:
        return
    for name, arm in arms.items():
        if not arm.tuned:
            continue
        if name not in warm_start.configs:
            raise UserError(
                f"{KEY}: it has no configurations of arm {name!r}, and those of "
                f"{', '.join(warm_start.configs)}: every tuned arm begins with some, or none does"
            )
        for config in warm_start.configs[name]:
            _check_within(config, name, arm)


def _check_within(config: Mapping[str, Value], name: str, arm: Arm) -> None:
    if config.keys() != arm.space.keys():
        raise UserError(
            f"{KEY}: {preview(dict(config))} is no configuration of arm {name!r}, which has "
            f"{', '.join(arm.space)}"
        )
    for address, distribution in arm.space.items():
        value = config[address]
        if not is_within(distribution, value):
            allowed = ", ".join(f"{k}: {v}" for k, v in describe_distribution(distribution).items())
            raise UserError(
                f"{KEY}: {address} = {preview(value)} of arm {name!r} lies outside of its search "
                f"space, {allowed}"
            )


def is_within(distribution: BaseDistribution, value: Value) -> bool:
    """Whether a range of a search space has a value."""
    if isinstance(distribution, CategoricalDistribution):
        return any(value == c and type(value) is type(c) for c in distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if isinstance(value, bool | str):
        return False
    whole = isinstance(distribution, FloatDistribution) or value == int(value)
    return whole and distribution.low <= value <= distribution.high


def _typed(distribution: BaseDistribution, value: Value) -> Value:
    """A number as the distribution has it: 1 of a range of real numbers is 1.0."""
    if isinstance(distribution, FloatDistribution):
        return float(value)
    return int(value) if isinstance(distribution, IntDistribution) else value

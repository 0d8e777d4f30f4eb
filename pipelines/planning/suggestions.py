"""Suggestions of configurations, each with a seed of its own."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import optuna

from pipelines.documents import digest
from pipelines.planning.specs import Config
from pipelines.study.arms import Arm
from pipelines.study.search_space import describe_distribution


def _ask(
    sampler: optuna.samplers.BaseSampler,
    arm: Arm,
    found: Iterable[tuple[Config, float | None]],
    running: Iterable[Config],
) -> Config:
    """One suggestion from a sampler that knows what was found, and what is still running."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    states = optuna.trial.TrialState
    told = [
        (config, score, states.FAIL if score is None else states.COMPLETE)
        for config, score in found
    ]
    for config, score, state in [*told, *((config, None, states.RUNNING) for config in running)]:
        study.add_trial(
            optuna.trial.create_trial(
                params=config, distributions=arm.space, value=score, state=state
            )
        )
    return study.ask(arm.space).params


@cache
def _digest_of(text: str) -> str:
    return digest(text)[:12]


def space_digest(arm: Arm) -> str:
    """Identity of an arm's search space: a suggestion belongs to the space it was drawn from."""
    return _digest_of(
        repr(sorted((name, describe_distribution(d).items()) for name, d in arm.space.items()))
    )

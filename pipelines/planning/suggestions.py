"""Suggestions of configurations, each with a seed of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import optuna
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from methods.objective import seed_of
from pipelines.analysis.record import SearchKind
from pipelines.documents import digest
from pipelines.planning.specs import Config
from pipelines.study.arms import Arm
from pipelines.study.search_space import describe_distribution
from pipelines.study.study_file import Study

#: Of Optuna; what they suggest depends on seed and trials alone, so they are made anew each time.
SAMPLERS: dict[SearchKind, Callable[[int], BaseSampler]] = {
    "random": RandomSampler,
    "tpe": lambda seed: TPESampler(seed=seed),
    "gp": lambda seed: GPSampler(seed=seed),
}


def suggestion_seed(study: Study, arm: str, repeat: int, index: int) -> int:
    """Seed of the sampler of one suggestion; the same in all scenarios, which are so paired."""
    protocol = study.protocol
    return seed_of(protocol.seed, protocol.search, arm, repeat, index) % 2**32


def suggest(
    kind: SearchKind,
    seed: int,
    arm: Arm,
    ended: Iterable[tuple[Config, float | None]] = (),
    running: Iterable[Config] = (),
) -> Config:
    """One suggestion for an arm.

    ended: configurations of this search with their scores on val (None: failed); running: those
    whose score is not known yet.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=SAMPLERS[kind](seed))
    states = optuna.trial.TrialState
    trials = [
        *(
            (config, score, states.FAIL if score is None else states.COMPLETE)
            for config, score in ended
        ),
        *((config, None, states.RUNNING) for config in running),
    ]
    for config, score, state in trials:
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

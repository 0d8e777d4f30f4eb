"""Suggestions of configurations, each with a seed of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import (
    BaseGASampler,
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from methods.objective import seed_of
from pipelines import own_modules
from pipelines.analysis.record import SearchKind
from pipelines.documents import digest
from pipelines.errors import UserError, one_line
from pipelines.planning.assignments import Search
from pipelines.planning.cma_es import cma_es_point
from pipelines.planning.designs import DESIGNS, LARGEST, coarsest_grid, grid_size
from pipelines.planning.nsga2 import nsga2_point
from pipelines.planning.second_aim import Direction, Values, directions, values_of
from pipelines.planning.specs import Config, Searched
from pipelines.study.arms import Arm
from pipelines.study.search_space import describe_distribution
from pipelines.study.study_file import Study

#: Of Optuna; what they suggest depends on seed and trials alone, so they are made anew each time.
SAMPLERS: dict[SearchKind, Callable[[int], BaseSampler]] = {
    "random": RandomSampler,
    "tpe": lambda seed: TPESampler(seed=seed),
    "gp": lambda seed: GPSampler(seed=seed),
}
#: Of Optuna: what they suggest depends on what they noted down as they ran the trials before.
KEEP_NOTES = (CmaEsSampler, QMCSampler, GridSampler, BaseGASampler)


def suggestion_seed(study: Study, arm: str, repeat: int, index: int) -> int:
    """Seed of the sampler of one suggestion; the same in all scenarios, which are so paired."""
    protocol = study.protocol
    return seed_of(protocol.seed, protocol.search, arm, repeat, index) % 2**32


def design_seed(study: Study, arm: str, repeat: int) -> int:
    """Seed of the whole of a search whose points are laid out beforehand."""
    protocol = study.protocol
    return seed_of(protocol.seed, protocol.search, arm, repeat) % 2**32


def check_search(study: Study) -> None:
    """Can the study's kind of search suggest that many configurations of each arm?

    Raises:
        UserError: it cannot.
    """
    kind, trials = study.protocol.search, study.request.trials
    for name, arm in study.arms.items():
        if kind == "grid" and arm.tuned:
            if (size := coarsest_grid(arm.space)) > LARGEST:
                first = f"the first grid of arm {name!r} has {size:,} points"
                raise UserError(f"search = 'grid': {first}; at most {LARGEST:,} are of use")
            if trials > (largest := grid_size(arm.space)):
                raise UserError(
                    f"search = 'grid': the grid of arm {name!r} has {largest:g} points; "
                    f"request.trials = {trials} is more"
                )
        choices = [n for n, d in arm.space.items() if isinstance(d, CategoricalDistribution)]
        if kind == "cmaes" and choices:
            raise UserError(f"search = 'cmaes': {choices[0]} of arm {name!r} is a choice, no range")
        if ":" in kind and arm.tuned:
            default = {address: arm.default[address] for address in arm.space}
            aims = directions(study.protocol.second_aim)
            suggest(kind, 0, arm, [(default, (0.0,) * len(aims))], directions=aims)


def _sampler(kind: SearchKind, seed: int) -> BaseSampler:
    """A sampler by the name of a search.

    Raises:
        UserError: it is one of the study's own that is none, or of no use.
    """
    if kind in SAMPLERS:
        return SAMPLERS[kind](seed)
    make = own_modules.load(kind, "search")
    try:
        sampler = make(seed=seed)
    except Exception as error:
        raise UserError(f"search {kind!r} cannot be called with seed: {one_line(error)}") from None
    if not isinstance(sampler, BaseSampler):
        made = f"a {type(sampler).__name__}, no sampler of Optuna"
        raise UserError(f"search {kind!r}: called with seed it gives {made}")
    if isinstance(sampler, KEEP_NOTES):
        raise UserError(
            f"search {kind!r}: a {type(sampler).__name__} needs notes that it took of earlier "
            "trials, and is made anew for each; use search: cmaes, nsga2, qmc or grid"
        )
    return sampler


def suggest(
    kind: SearchKind,
    seed: int,
    arm: Arm,
    ended: Iterable[tuple[Config, Values | None]] = (),
    running: Iterable[Config] = (),
    directions: Sequence[Direction] = ("maximize",),
) -> Config:
    """One suggestion for an arm.

    ended: configurations of this search with what they are compared by (None: failed); running:
    those of which that is not known yet. directions: of the values that are compared.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=directions, sampler=_sampler(kind, seed))
    states = optuna.trial.TrialState
    trials = [
        *(
            (config, values, states.FAIL if values is None else states.COMPLETE)
            for config, values in ended
        ),
        *((config, None, states.RUNNING) for config in running),
    ]
    for config, values, state in trials:
        study.add_trial(
            optuna.trial.create_trial(
                params=config, distributions=arm.space, values=values, state=state
            )
        )
    if kind in SAMPLERS:
        return study.ask(arm.space).params
    try:
        return study.ask(arm.space).params
    except Exception as error:  # it is a person's own
        raise UserError(f"search {kind!r} fails: {one_line(error)}") from None


def suggest_next(
    study: Study,
    search: Search,
    index: int,
    searched: Searched,
    running: Iterable[Config],
) -> Config:
    """The configuration of trial `index` of a search, by the study's kind of search.

    Its sampler has a seed of its own, so there is no stream to lose. searched: trials that have
    ended; running: configurations of those that have not.
    """
    arm, kind = study.arms[search.arm], study.protocol.search
    if kind in DESIGNS:  # trial 0 is the default
        return DESIGNS[kind](arm.space, design_seed(study, search.arm, search.repeat), index - 1)
    seed = suggestion_seed(study, search.arm, search.repeat, index)
    if kind == "cmaes":
        return cma_es_point(arm.space, seed, searched)
    if kind == "random":
        return suggest(kind, seed, arm)
    second_aim = study.protocol.second_aim
    if kind == "nsga2":
        assert second_aim
        return nsga2_point(arm.space, seed, searched, second_aim)
    values = values_of(searched, second_aim)
    ended = [(trial.config, values[i]) for i, trial in searched.items()]
    return suggest(kind, seed, arm, ended, running, directions(second_aim))


@cache
def _digest_of(text: str) -> str:
    return digest(text)[:12]


def space_digest(arm: Arm) -> str:
    """Identity of an arm's search space: a suggestion belongs to the space it was drawn from."""
    return _digest_of(
        repr(sorted((name, describe_distribution(d).items()) for name, d in arm.space.items()))
    )

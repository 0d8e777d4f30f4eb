"""NSGA-II as a search by two aims: the nondominated sorting genetic algorithm (Deb et al. 2002).

It is Optuna's, and its generations are made anew for each suggestion, of those that have ended
whole: so a search is resumed, and extended, at any time.
"""

from __future__ import annotations

from math import inf

import optuna
from optuna.samplers import NSGAIISampler
from optuna.trial import FrozenTrial, create_trial

from pipelines.planning.designs import Space
from pipelines.planning.second_aim import directions, values_of
from pipelines.planning.specs import Config, Searched

GENERATION = 8  # trials; the default is one of the first


class _ByNumber(NSGAIISampler):
    """Trials belong to generations by their numbers, not by notes that are kept with them."""

    def get_trial_generation(self, study: optuna.Study, trial: FrozenTrial) -> int:
        return trial.number // GENERATION

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        first = generation * GENERATION
        return study.get_trials(deepcopy=False)[first : first + GENERATION]


def nsga2_point(space: Space, seed: int, searched: Searched, second_aim: str) -> Config:
    """One suggestion of a search.

    seed: of this suggestion. searched: by index the trials that have ended. Those of index 0 to 7
    are the first generation, at random but for the default. A trial that failed is the worst of
    all by both aims: a generation without it might be too small to go on from.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        directions=directions(second_aim),
        sampler=_ByNumber(population_size=GENERATION, seed=seed),
    )
    values, whole = values_of(searched, second_aim), 0
    nothing = inf if "minimize" in directions(second_aim) else -inf
    while all(whole + i in searched for i in range(GENERATION)):
        whole += GENERATION
    for index in range(whole):
        study.add_trial(
            create_trial(
                params=searched[index].config,
                distributions=space,
                values=values[index] or (-inf, nothing),
            )
        )
    return study.ask(space).params

"""CMA-ES as a search: the covariance matrix adaptation evolution strategy (Hansen 2016).

Its state is made anew for each suggestion, of the generations that have ended whole: so a search is
resumed, and extended, at any time.
"""

from __future__ import annotations

from math import inf, isnan

import numpy as np

from pipelines.planning.designs import Space, share_of, value_at
from pipelines.planning.specs import Config, Searched

SPREAD = 1 / 6  # of the first generation, in shares of each range, around the centre: Optuna's


def cma_es_point(space: Space, seed: int, searched: Searched) -> Config:
    """One suggestion of a search.

    space: of d ranges, without choices. seed: of this suggestion.
    searched: by index the configurations that have ended, with their scores on val (None: failed,
    which is the worst). Index 0 is the default, which was not drawn; from index 1 on they are
    generations of 4 + 3 ln d each.
    """
    from cmaes import CMA

    d = len(space)
    bounds = np.array([[0.0, 1.0]] * d)
    strategy = CMA(mean=np.full(d, 0.5), sigma=SPREAD, bounds=bounds, seed=seed)
    size = strategy.population_size
    for first in range(1, max(searched, default=0) + 1, size):
        generation = [searched.get(first + i) for i in range(size)]
        ended = [trial for trial in generation if trial is not None]
        if len(ended) < size:
            break
        strategy.tell([(_shares(space, t.config), _loss(t.score)) for t in ended])
    shares = strategy.ask()
    return {
        name: value_at(d, float(share), ends=True)
        for (name, d), share in zip(space.items(), shares, strict=True)
    }


def _shares(space: Space, config: Config) -> np.ndarray:
    return np.array([share_of(d, config[name]) for name, d in space.items()])


def _loss(score: float | None) -> float:
    return inf if score is None or isnan(score) else -score

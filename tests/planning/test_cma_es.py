"""CMA-ES, made anew for each suggestion, does what the strategy itself does when it goes on."""

import numpy as np
import pytest
from cmaes import CMA
from optuna.distributions import FloatDistribution, IntDistribution

from pipelines.planning.cma_es import SPREAD, cma_es_point
from pipelines.planning.designs import share_of, value_at
from pipelines.planning.specs import Ended

SPACE = {
    "q": FloatDistribution(0.0, 1.0),
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "times": IntDistribution(1, 20),
}


def score(config) -> float:
    return -abs(config["q"] - 0.2) - abs(np.log10(config["lr"]) + 3) - config["times"] / 20


def searched(trials: int) -> dict:
    found = {0: Ended({"q": 0.7, "lr": 0.1, "times": 10}, 0.0)}
    for index in range(1, trials + 1):
        config = cma_es_point(SPACE, index, found)
        found[index] = Ended(config, score(config))
    return found


def test_equals_one_strategy_that_is_told_generation_by_generation():
    found = searched(21)
    one = CMA(np.full(3, 0.5), SPREAD, bounds=np.array([[0.0, 1.0]] * 3), seed=22)
    assert one.population_size == 7
    for first in (1, 8, 15):
        rows = [found[first + i] for i in range(7)]
        one.tell(
            [(np.array([share_of(d, c[n]) for n, d in SPACE.items()]), -s) for c, s, _ in rows]
        )
    asked = one.ask()
    expected = {
        name: value_at(d, share, ends=True)
        for (name, d), share in zip(SPACE.items(), asked, strict=True)
    }
    assert cma_es_point(SPACE, 22, found) == expected


def test_a_generation_counts_once_all_of_it_has_ended():
    found = searched(7)
    some = {k: v for k, v in found.items() if k != 4}
    assert cma_es_point(SPACE, 9, some) == cma_es_point(SPACE, 9, {})
    assert cma_es_point(SPACE, 9, found) != cma_es_point(SPACE, 9, {})


def test_a_failed_trial_is_the_worst_of_its_generation():
    found = searched(7)
    failed, nan, low = (found | {3: found[3]._replace(score=s)} for s in (None, float("nan"), -1e9))
    points = [cma_es_point(SPACE, 9, told) for told in (failed, nan, low)]
    assert points[0] == points[1] == points[2]


def test_it_gathers_where_scores_are_high():
    found = searched(70)
    scores = [score(found[k][0]) for k in range(1, 71)]
    early, late = np.mean(scores[:14]), np.mean(scores[-14:])
    assert late > early + 0.3


@pytest.mark.parametrize("d", SPACE.values(), ids=SPACE)
def test_a_share_and_its_value_are_the_same_place(d):
    for share in (0.0, 0.25, 0.5, 1.0):
        value = value_at(d, share, ends=True)
        assert value_at(d, share_of(d, value), ends=True) == pytest.approx(value)
    assert (share_of(d, d.low), share_of(d, d.high)) == (0, 1)

"""One rule picks every arm's learning rate, and no run's own luck on val is in it."""

import math

import numpy as np
import pytest

from benchmarks.evidence.choice import Candidate, choose


def candidate(val, test=None):
    """Scores [repeat][seed]."""
    flat = {(r, s): v for r, row in enumerate(val) for s, v in enumerate(row)}
    other = {key: 10 * v for key, v in flat.items()} if test is None else test
    return Candidate(flat, other)


def test_each_run_has_the_rate_that_the_other_runs_of_its_repeat_recommend():
    slow, fast = candidate([[0.9, 0.1], [0.2, 0.2]]), candidate([[0.5, 0.5], [0.7, 0.1]])
    chosen = choose({"slow": slow, "fast": fast})
    # Run (0, 0) is scored at the rate that is best for run (0, 1), though its own says otherwise.
    assert chosen.label == {(0, 0): "fast", (0, 1): "slow", (1, 0): "slow", (1, 1): "fast"}
    assert chosen.test == {(0, 0): 5.0, (0, 1): 1.0, (1, 0): 2.0, (1, 1): 1.0}
    assert chosen.val == {(0, 0): 0.5, (0, 1): 0.1, (1, 0): 0.2, (1, 1): 0.1}


def test_luck_on_val_that_is_the_runs_own_buys_nothing():
    """Rates that are all alike; a run's test shares its val's luck, as on small test sets."""
    rng = np.random.default_rng(0)
    honest, own = [], []
    for _ in range(500):
        luck = {rate: rng.normal(0, 1, (1, 2)) for rate in range(3)}
        candidates = {
            rate: Candidate(
                {(0, s): x[0, s] for s in range(2)}, {(0, s): x[0, s] for s in range(2)}
            )
            for rate, x in luck.items()
        }
        honest.append(choose(candidates).test[0, 0])
        own.append(max(x[0, 0] for x in luck.values()))
    assert abs(np.mean(honest)) < 0.15 and np.mean(own) > 0.7


def test_of_rates_that_tie_the_first_is_taken():
    same = candidate([[0.5, 0.5]])
    assert set(choose({1.0: same, 0.25: same}).label.values()) == {1.0}


def test_a_run_that_failed_recommends_nothing():
    failed, poor = candidate([[math.nan, 0.9]]), candidate([[0.1, 0.1]])
    assert choose({1.0: failed, 4.0: poor}).label == {(0, 0): 1.0, (0, 1): 4.0}


def test_runs_that_not_all_rates_have_yet_and_single_seeds_are_left_out():
    whole, half = candidate([[0.5, 0.5], [0.5, 0.5]]), candidate([[0.6, 0.6]])
    assert set(choose({1.0: whole, 4.0: half}).test) == {(0, 0), (0, 1)}
    assert choose({1.0: candidate([[0.5]])}).test == {}
    assert choose({}).test == {}


@pytest.mark.parametrize("seeds", [2, 3])
def test_every_run_counts_once(seeds):
    three = {rate: candidate([[0.1 * rate] * seeds] * 4) for rate in (1, 2, 3)}
    chosen = choose(three)
    assert len(chosen.test) == 4 * seeds and chosen.counts == {3: 4 * seeds}

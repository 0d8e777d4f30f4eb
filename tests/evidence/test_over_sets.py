"""Differences over sets: of which sets they speak, and ranks in closed form."""

from math import isnan

import numpy as np
import pytest
from scipy import stats

from benchmarks.evidence.over_sets import gap_on, on_one_set, over_sets, portfolio, ranks, wins
from tests.evidence.members import REPEATS, SEEDS, member


def runs(means, spread=0.0):
    """By (repeat, seed); the mean of each repeat as given."""
    return {(r, s): m + spread * (2 * s - 1) for r, m in enumerate(means) for s in range(2)}


def test_sets_count_alike_however_many_repeats_they_have():
    total = over_sets([runs([0.1, 0.3]), runs([0.0] * 5 + [0.06])])
    assert total.mean == pytest.approx((0.2 + 0.01) / 2)
    assert (total.sets, total.repeats) == (2, 2)


def test_the_interval_for_sets_like_these_is_students_over_their_means():
    means = [0.1, 0.2, 0.4, 0.1]
    total = over_sets([runs([m - 0.01, m, m + 0.01]) for m in means])
    expected = stats.t.interval(0.95, 3, np.mean(means), stats.sem(means))
    assert (total.new_low, total.new_high) == pytest.approx(expected)
    # These very sets are known much better.
    assert total.high - total.low < 0.2 * (total.new_high - total.new_low)


def test_two_sets_are_no_sample_and_two_repeats_no_spread():
    two = over_sets([runs([0.1, 0.15, 0.2]), runs([0.3, 0.35, 0.4])])
    assert isnan(two.new_low) and not isnan(two.low)
    assert two.claim(0.01) == "no interval" and two.claim_here(0.01) == "better"
    single = over_sets([runs([m]) for m in (0.1, 0.2, 0.3)])
    assert isnan(single.low) and not isnan(single.new_low)
    fewer = over_sets([runs([0.1, 0.15, 0.2]), runs([0.3, 0.4]), runs([0.2, 0.3, 0.4])])
    assert isnan(fewer.low) and not isnan(fewer.new_low)
    assert isnan(on_one_set(runs([0.1], spread=0.05)).low)
    assert over_sets([]).sets == 0 and over_sets([{}]).claim(0.01) == "no interval"


def test_a_difference_on_a_set_is_between_arms_each_at_the_rate_that_suits_it():
    gaps = gap_on(member(), ["l2rw"], ["gce_plus_meta"])  # the best at a quarter, and at 1
    assert len(gaps) == REPEATS * SEEDS
    assert np.mean(list(gaps.values())) == pytest.approx(0.03, abs=0.005)
    assert gap_on(member(), ["l2rw"], ["not there"]) == {}


def test_of_several_opponents_val_picks_one_for_each_run():
    chosen = portfolio(member(), ["gce_plus_meta", "sce_plus_meta"])
    assert set(chosen.label.values()) == {("gce_plus_meta", 1.0)}


def test_ranks_are_of_every_repeat_and_ties_share_theirs():
    members = [member(f"set-{i}", seed=i) for i in range(3)]
    found = ranks(members, ["ce", "gce_plus_meta", "l2rw"])
    assert {arm: rank.mean for arm, rank in found.items()} == {
        "l2rw": 1.0,
        "gce_plus_meta": 2.0,
        "ce": 3.0,
    }
    twice = ranks([member()], ["ce", "gce_learned"])
    assert sum(rank.mean for rank in twice.values()) == pytest.approx(3.0)
    assert ranks([], ["ce"])["ce"].sets == 0


def test_a_win_needs_the_whole_interval():
    up, open_, down = ([0.1, 0.11, 0.12], [0.1, -0.1, 0.05], [-0.1, -0.11, -0.12])
    gaps = {str(i): on_one_set(runs(m)) for i, m in enumerate((up, open_, down, [0.1]))}
    assert wins(gaps) == (1, 2, 1)

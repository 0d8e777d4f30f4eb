"""Budget curves against the enumeration of all subsets; b* and win probability by hand."""

from itertools import combinations
from math import comb, inf, nan

import numpy as np
import pytest
from scipy import stats

from pipelines.analysis.budget import (
    break_even,
    budget_curve,
    selection_weights,
    value_at,
    win_probability,
)


def enumerated_curve(val, retrained):
    """The expected score at each budget, over all subsets of the random trials, one by one."""
    curve = []
    for b in range(len(val)):
        scores = []
        for subset in combinations(range(1, len(val)), b):
            drawn = [0, *subset]
            best = max(val[i] for i in drawn)
            scores.append(np.mean([retrained[i] for i in drawn if val[i] == best]))
        curve.append(np.mean(scores))
    return curve


class TestBudgetCurve:
    @pytest.mark.parametrize("levels", [2, 4, 100])
    def test_equals_the_enumeration_of_all_subsets_ties_averaged(self, levels):
        rng = np.random.default_rng(levels)
        for _ in range(20):
            val, retrained = rng.integers(0, levels, 8), rng.normal(size=8)
            curve = budget_curve(val, retrained)
            np.testing.assert_allclose(curve, enumerated_curve(val, retrained), atol=1e-12)

    def test_without_a_useful_default_the_weights_are_those_of_tang_2020(self):
        val = np.array([-1, 3, 1, 4, 2, 5], dtype=float)
        weights = selection_weights(val)
        for b in range(1, 6):
            for rank, k in enumerate(np.argsort(val[1:]), start=1):
                expected = comb(rank - 1, b - 1) / comb(5, b)
                assert weights[b, k + 1] == pytest.approx(expected, abs=1e-15)

    def test_by_hand_default_between_two_trials(self):
        # b = 1: the better trial (test 3) or the worse one, which leaves the default (test 1).
        assert budget_curve([0.5, 0.4, 0.6], [1, 2, 3]) == pytest.approx([1, 2, 3])

    def test_by_hand_a_tie_with_the_default_counts_half(self):
        assert budget_curve([0.5, 0.5], [1, 3]) == pytest.approx([1, 2])

    def test_weights_of_every_budget_sum_to_one_even_with_a_thousand_trials(self):
        val = np.random.default_rng(0).integers(0, 100, 1001)
        np.testing.assert_allclose(selection_weights(val).sum(axis=1), 1, atol=1e-9)

    def test_the_default_alone_is_budget_zero(self):
        assert budget_curve([0.5], [0.7]).tolist() == [0.7]

    def test_a_failed_trial_spends_budget_and_is_never_selected(self):
        assert budget_curve([0.5, -inf, 0.6], [1, nan, 3]) == pytest.approx([1, 2, 3])

    def test_a_missing_retrained_score_shows_where_it_would_count(self):
        curve = budget_curve([0.5, 0.6, 0.7], [1, nan, 3])
        assert np.isnan(curve).tolist() == [False, True, False]


class TestBreakEven:
    def test_first_budget_that_reaches_and_the_interval_of_the_inverted_test(self):
        differences = np.array([[-9, -3, 0.5, 8], [-8, 1, 1.5, 9], [-10, -1, 1.0, 10]])
        b_star = break_even(differences)
        assert b_star.budget == 1.5  # means -9, -1, 1, 9: halfway between -1 and 1

        def interval(b: float):
            low, share = int(b), b % 1
            values = (1 - share) * differences[:, low] + share * differences[:, low + 1]
            return stats.ttest_1samp(values, 0).confidence_interval(0.95)

        low, high = b_star.low, b_star.high
        assert low is not None and high is not None
        assert interval(low - 0.1).high < 0 <= interval(low).high
        assert interval(high - 0.1).low <= 0 < interval(high).low

    def test_lies_where_the_curve_crosses_between_two_budgets(self):
        b_star = break_even([[-3, -1, 3], [-3.2, -1.2, 2.8], [-3.1, -1.1, 2.9]])
        assert b_star.budget == 1.3  # means -3.1, -1.1, 2.9: crosses at 1.275

    def test_never_reached(self):
        b_star = break_even([[-3, -2, -2], [-3, -2.5, -1], [-3.5, -2, -1.5]])
        assert (b_star.budget, b_star.low, b_star.high) == (None, None, None)
        assert b_star.interval and str(b_star) == "> 2"

    def test_the_default_already_does_it(self):
        b_star = break_even([[1.0, 2], [1.1, 2], [0.9, 2.1]])
        assert (b_star.budget, b_star.low, b_star.high) == (0, 0, 0)
        assert str(b_star) == "0: the default already does it"

    @pytest.mark.parametrize("searches", [[[-1.0, 0.5]], [[-1.0, 0.6], [-1.0, 0.4]]])
    def test_one_search_or_two_have_no_interval(self, searches):
        b_star = break_even(searches)
        assert (b_star.budget, b_star.interval, str(b_star)) == (0.7, False, "0.7")
        assert (b_star.low, b_star.high) == (None, None)


def test_the_value_at_a_budget_between_two_is_that_of_either_by_chance():
    assert value_at(1.25, [0, 100, 140]) == pytest.approx(0.75 * 100 + 0.25 * 140)


def test_win_probability_counts_ties_half_and_weighs_the_opponent():
    assert win_probability([1, 2], [1, 3], [1, 1]) == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    assert win_probability([1, 2], [1, 3], [1, 0]) == pytest.approx(0.75)

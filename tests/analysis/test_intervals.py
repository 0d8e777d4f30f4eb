"""Statistics against enumeration, closed forms and cases worked by hand."""

from dataclasses import asdict
from math import inf, isnan, nan, sqrt

import numpy as np
import pytest
from scipy import stats

from benchmarks.coverage import simulate
from pipelines.analysis.intervals import (
    aggregate,
    compare,
    estimate,
    holm,
    t_interval,
    units_needed,
    verdict,
)


class TestEstimate:
    def test_interval_is_students(self):
        expected = stats.t.interval(0.95, 3, loc=2.5, scale=stats.sem([1, 2, 3, 4]))
        assert t_interval([1, 2, 3, 4]) == pytest.approx(expected)

    @pytest.mark.parametrize("values", [[], [1.0], [0.1, 0.1, 0.1], [1, 2, -inf]])
    def test_no_interval_where_nothing_tells_the_spread(self, values):
        assert all(isnan(end) for end in t_interval(values))

    def test_repeats_are_clusters_that_count_once(self):
        runs = {(0, 0): 1.0, (0, 1): 3.0, (1, 0): 4.0, (2, 0): 9.0}
        scores = estimate(runs)
        assert (scores.mean, scores.n, scores.repeats) == (5.0, 4, 3)
        assert (scores.low, scores.high) == pytest.approx(t_interval([2.0, 4.0, 9.0]))
        assert scores.sd == pytest.approx(np.std([1, 3, 4, 9], ddof=1))

    def test_one_repeat_falls_back_to_its_run_seeds(self):
        scores = estimate({(7, s): x for s, x in enumerate([1.0, 2.0, 4.0])})
        assert scores.repeats == 1
        assert (scores.low, scores.high) == pytest.approx(t_interval([1, 2, 4]))

    def test_failed_runs_are_counted(self):
        scores = estimate({(0, 0): 1.0, (0, 1): nan, (1, 0): nan})
        assert (scores.n, scores.failed, scores.repeats) == (1, 2, 1)

    def test_no_runs_give_nan_and_no_warning(self):
        scores = estimate({})
        assert isnan(scores.mean) and scores.n == 0

    def test_a_diverged_run_with_an_infinite_score_has_no_interval(self):
        scores = estimate({(0, 0): -inf, (1, 0): 1.0})
        assert scores.mean == -inf and isnan(scores.low) and isnan(scores.sd)


class TestVerdict:
    @pytest.mark.parametrize(
        ("low", "high", "expected"),
        [
            (0.1, 2, "superior"),
            (-0.9, 2, "non-inferior"),
            (-0.9, -0.1, "non-inferior"),
            (-3, -0.1, "inferior"),
            (-3, 0.1, "inconclusive"),
            (nan, nan, "inconclusive"),
        ],
    )
    def test_follows_from_the_interval_and_a_margin_of_1(self, low, high, expected):
        assert verdict(low, high, 1) == expected

    def test_pairs_by_repeat_and_run_seed(self):
        new = {(0, 0): 1.0, (0, 1): 2.0, (1, 0): 5.0, (2, 0): 9.0}
        old = {(0, 0): 0.0, (0, 1): 2.0, (1, 0): 4.0, (3, 0): 0.0}
        comparison = compare(new, old, 0.1)
        assert comparison.difference == estimate({(0, 0): 1.0, (0, 1): 0.0, (1, 0): 1.0})
        assert comparison.unit == "repeats"

    def test_p_values_are_those_of_the_one_sided_t_test_on_repeat_means(self):
        d = np.array([0.2, 0.5, -0.1, 0.4])
        runs = {(r, 0): x for r, x in enumerate(d)}
        comparison = compare(runs, dict.fromkeys(runs, 0.0), 0.3)
        _, superior = stats.ttest_1samp(d, 0, alternative="greater")
        _, noninferior = stats.ttest_1samp(d, -0.3, alternative="greater")
        assert comparison.p_superior == pytest.approx(superior)
        assert comparison.p_noninferior == pytest.approx(noninferior)

    def test_one_pair_is_inconclusive_without_a_forecast(self):
        comparison = compare({(0, 0): 1.0}, {(0, 0): 0.0}, 0.1)
        assert (comparison.verdict, comparison.more) == ("inconclusive", None)
        assert comparison.unit == "seeds"

    def test_an_inconclusive_verdict_says_how_many_more_would_decide(self):
        d = {(r, 0): x for r, x in enumerate([-1.0, 0.0, 1.0])}
        comparison = compare(d, dict.fromkeys(d, 0.0), 1)
        assert (comparison.verdict, comparison.more) == ("inconclusive", 10 - 3)

    @pytest.mark.parametrize(("sd", "n"), [(1, 10), (2, 34)])
    def test_units_needed_have_the_power_of_the_t_test(self, sd, n):
        # Two-sided 5 %, power 80 %, standardised effect 1 and 0.5: n = 10 and 34 (Cohen's tables).
        assert units_needed(0, sd, 1) == n

    def test_units_needed_has_an_end(self):
        assert units_needed(-0.5, 1000, 1) is None

    def test_simulated_power_is_as_promised(self):
        draws = np.random.default_rng(0).normal(0, 1, (20_000, 10))
        error = draws.std(axis=1, ddof=1) / sqrt(10)
        low = draws.mean(axis=1) - stats.t.ppf(0.975, 9) * error
        assert (low > -1).mean() == pytest.approx(0.80, abs=0.01)


def test_holm_on_the_textbook_case():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert holm([]).size == 0


class TestAggregate:
    def test_scenarios_weigh_alike_whatever_their_size(self):
        comparison = aggregate([[0.0, 1, 2], [10.0, 11, 12, 13, 14]], 1)
        assert comparison.difference.mean == pytest.approx((1 + 12) / 2)

    def test_interval_is_that_of_the_welch_test_for_a_mean(self):
        groups = np.random.default_rng(0).normal(0, 1, (4, 30))
        gap = aggregate(list(groups), 1).difference
        error = sqrt(sum(g.var(ddof=1) / 30 for g in groups)) / 4
        half = stats.t.ppf(0.975, 4 * 29) * error
        assert gap.high - gap.low == pytest.approx(2 * half, rel=0.03)

    def test_is_deterministic(self):
        groups = [[0.1, 0.2, 0.4], [0.0, 0.3, 0.1]]
        assert asdict(aggregate(groups, 1)) == asdict(aggregate(groups, 1))


@pytest.mark.slow
def test_every_interval_that_is_shown_covers_95_percent():
    """`benchmarks/coverage.py`, reduced: a row of 300 studies has a standard error of 1.3 %."""
    rows = simulate(studies=300)
    for row in rows:
        assert row["shown"] == 0 if row["repeats"] == 2 else row["shown"] > 0.95, row
    for kind in {row["interval"] for row in rows}:
        coverage = [row["coverage"] for row in rows if row["interval"] == kind and row["shown"]]
        assert 0.92 <= np.mean(coverage) <= 0.98, kind
        assert min(coverage) >= 0.90 and max(coverage) < 1, kind


def test_values_that_differ_by_rounding_alone_give_no_interval():
    """0.95 - 0.88 and 0.92 - 0.85 are both 0.07, and differ in the last bit."""
    differences = [0.95 - 0.88, 0.92 - 0.85, 0.07]
    assert len(set(differences)) == 3
    assert all(isnan(end) for end in t_interval(differences))


class TestBounds:
    """Accuracies lie between 0 and 1, and so do their intervals."""

    def test_an_interval_ends_at_the_bounds(self):
        scores = estimate({(r, 0): x for r, x in enumerate([0.99, 1.0, 0.97])}, bounds=(0, 1))
        low, high = t_interval([0.99, 1.0, 0.97])
        assert high > 1 and (scores.low, scores.high) == (low, 1)

    def test_one_that_would_hold_everything_is_none(self):
        """50.0 ± 99.4 says that there are too few repeats."""
        scores = estimate({(r, 0): x for r, x in enumerate([0.1, 0.5, 0.9])}, bounds=(0, 1))
        assert scores.mean == pytest.approx(0.5) and isnan(scores.low) and isnan(scores.high)


class TestTwoRepeats:
    """Two tell too little of how repeats vary: there is no interval, whatever it would be.

    Where one is shown if it is narrow, and left out if it would hold everything, those that are
    shown cover 75 to 93 % instead of 95 %.
    """

    def test_no_score_and_no_difference_has_an_interval(self):
        runs = {(0, 0): 0.5, (0, 1): 0.51, (1, 0): 0.51, (1, 1): 0.52}
        examples = {run: np.array([score, 1.0, 0.0]) for run, score in runs.items()}
        scores = estimate(runs, examples, (0, 1))
        assert (scores.mean, scores.n, scores.repeats) == (pytest.approx(0.51), 4, 2)
        assert all(isnan(getattr(scores, e)) for e in ("low", "high", "new_low", "new_high"))

    def test_the_verdict_is_open_without_a_probability_or_a_forecast(self):
        new, old = {(0, 0): 0.5, (1, 0): 0.501}, {(0, 0): 0.1, (1, 0): 0.1}
        comparison = compare(new, old, 0.01)
        assert (comparison.verdict, comparison.new_verdict) == ("inconclusive", "inconclusive")
        assert comparison.more is None
        assert isnan(comparison.p_superior) and isnan(comparison.p_noninferior)

    def test_neither_have_two_run_seeds_of_a_single_repeat(self):
        assert isnan(estimate({(0, 0): 0.5, (0, 1): 0.6}).low)

    def test_three_have_students_interval_at_two_degrees_of_freedom(self):
        scores = estimate({(0, 0): 0.5, (1, 0): 0.6, (2, 0): 0.55})
        half = 4.302652729911275 * 0.05 / sqrt(3)  # tables: t at 97.5 %; the deviation is 0.05
        assert (scores.low, scores.high) == pytest.approx((0.55 - half, 0.55 + half), rel=1e-9)

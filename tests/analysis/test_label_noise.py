"""Estimates of label noise: against closed forms, scipy, and a count by hand of the rule."""

import numpy as np
import pytest
from scipy.stats import binomtest

from pipelines.analysis.label_noise import (
    confident_counting,
    confident_joint,
    counted,
    share_interval,
)


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (1, 2), (37, 100), (450, 1000)])
def test_the_interval_of_a_share_is_clopper_and_pearsons(hits, n):
    exact = binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert share_interval(hits, n) == pytest.approx((hits / n, exact.low, exact.high))


def test_of_nothing_a_share_may_be_anything():
    mean, low, high = share_interval(0, 0)
    assert np.isnan(mean) and (low, high) == (0, 1)


def test_rate_and_transition_are_counted_on_verified_examples():
    estimate = counted([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    assert estimate["examples"] == 12
    exact = binomtest(3, 12).proportion_ci(0.95, method="exact")
    assert tuple(estimate["rate"].values()) == pytest.approx((3 / 12, exact.low, exact.high))
    transition = estimate["transition"]
    assert transition["mean"] == [[0.75, 0.25, 0], [0.25, 0.75, 0], [None] * 3]
    exact = binomtest(2, 8).proportion_ci(0.95, method="exact")
    assert (transition["low"][0][1], transition["high"][0][1]) == pytest.approx(tuple(exact))


def test_the_exact_interval_covers_the_true_rate_as_often_as_it_says():
    hits = np.random.default_rng(0).binomial(80, 0.3, 4000)
    _, low, high = share_interval(hits, 80)
    assert 0.95 <= np.mean((low <= 0.3) & (high >= 0.3)) < 0.98


def test_confident_counting_by_hand():
    """Thresholds 0.7 and 0.6: the means of the probabilities of the given labels."""
    p0 = np.array([0.9, 0.8, 0.4, 0.5, 0.2, 0.5])  # of class 0
    labels = np.array([0, 0, 0, 1, 1, 1])
    # Row 2 reaches the threshold of 1 alone; rows 3 and 5 reach none.
    joint = confident_joint(np.stack([p0, 1 - p0], axis=1), labels)
    assert joint == pytest.approx(np.array([[2 / 3 * 0.5, 0], [1 / 3 * 0.5, 0.5]]))


def test_of_several_classes_that_reach_their_thresholds_the_most_probable_counts():
    p = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.45, 0.35, 0.2]])
    joint = confident_joint(p, np.array([0, 1, 2, 2]))
    # Thresholds 0.5, 0.3 and 0.35; row 3 reaches that of class 1 alone, row 1 those of 0 and 1.
    assert joint == pytest.approx(np.array([[1, 1, 0], [0, 0, 0.5 * 2], [0, 0, 0.5 * 2]]) / 4)


def test_sure_and_right_models_find_the_rate_and_the_transition():
    random = np.random.default_rng(1)
    truth = random.integers(3, size=3000)
    labels = np.where(random.random(3000) < 0.3, (truth + 1) % 3, truth)
    p = np.full((3000, 3), 0.05)
    p[np.arange(3000), truth] = 0.9
    counts = np.zeros((3, 3))
    np.add.at(counts, (truth, labels), 1)
    assert confident_joint(p, labels) == pytest.approx(counts / 3000)
    estimate = confident_counting([(p, labels)] * 2)
    assert estimate["rate"]["mean"] == pytest.approx(np.mean(truth != labels))
    assert estimate["rate"]["low"] is None  # two repeats are too few, or all alike


def test_a_label_without_confident_examples_counts_as_right():
    p = np.array([[0.9, 0.05, 0.05], [0.8, 0.15, 0.05], [0.4, 0.35, 0.25]])
    joint = confident_joint(p, np.array([0, 0, 1]))
    assert joint.sum() == pytest.approx(1) and joint[2].sum() == 0
    assert joint.sum(axis=0) == pytest.approx([2 / 3, 1 / 3, 0])


def test_the_interval_of_confident_counting_is_over_repeats():
    random = np.random.default_rng(2)
    labels = random.integers(2, size=500)
    repeats = [(random.dirichlet([1, 1], 500), labels) for _ in range(4)]
    rates = [1 - confident_joint(*repeat).trace() for repeat in repeats]
    rate = confident_counting(repeats)["rate"]
    half = 3.182446305284263 * np.std(rates, ddof=1) / 2  # t of three degrees of freedom
    assert rate["high"] - rate["mean"] == pytest.approx(half)


def test_of_many_classes_the_rate_is_told_alone():
    assert counted(np.eye(101, dtype=int))["transition"] is None
    assert counted(np.eye(100, dtype=int))["transition"] is not None

"""Intervals for new examples, against closed forms and classical analysis of variance."""

from dataclasses import replace
from math import isnan, sqrt

import numpy as np
import pytest
import torch
from scipy import stats

from pipelines.analysis.examples import (
    example_differences,
    examples_of,
    new_examples_interval,
    two_way_interval,
)
from pipelines.analysis.intervals import estimate, t_interval
from pipelines.analysis.record import HeldOut
from pipelines.metrics import evaluate
from pipelines.stored_predictions import pack_hits
from tests.support.synthetic import record


def run(probabilities, labels, metric="accuracy", **where):
    """A final run with these predictions on test."""
    scores = evaluate(probabilities, labels)
    held_out = HeldOut(scores["confusion"], pack_hits(probabilities, labels))
    test = {"last": scores[metric], "selected": scores[metric]}
    both = {"last": held_out, "selected": held_out}
    return record("final", val=0.5, test=test, held_out=both, **{"index": 0, **where})


def predictions(n=60, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.rand(n, classes, generator=generator).softmax(1)
    return probabilities, torch.arange(n) % classes  # labels are the same in all runs


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy"])
def test_the_mean_over_examples_is_the_score(metric):
    labels = torch.tensor([0] * 40 + [1] * 15 + [2] * 5)
    final = run(predictions()[0], labels, metric)
    examples = examples_of([final], metric, "last")
    assert examples is not None
    assert examples[0, 0].mean() == pytest.approx(final.test["last"])


def test_an_example_is_the_same_in_all_runs_whatever_their_predictions():
    """The bits stand by label and then by row: example i of one run is example i of another."""
    labels = torch.arange(60) % 3
    wrong = [7, 30, 59]
    certain = torch.eye(3)[labels]
    certain[wrong] = torch.eye(3)[(labels[wrong] + 1) % 3]
    values = examples_of([run(certain, labels)], "accuracy", "last")
    assert values is not None
    order = labels.argsort(stable=True)
    assert sorted(order[np.flatnonzero(values[0, 0] == 0)].tolist()) == wrong


def test_a_run_that_diverged_is_wrong_everywhere_and_a_failed_one_is_left_out():
    good = run(*predictions())
    diverged = replace(good, status="diverged", index=1, held_out={})
    failed = replace(good, status="failed", index=2, held_out={})
    examples = examples_of([good, diverged, failed], "accuracy", "last")
    assert examples is not None and set(examples) == {(0, 0), (0, 1)}
    assert not examples[0, 1].any()


def test_nothing_is_known_of_examples_in_old_results_or_by_other_metrics():
    new = run(*predictions())
    old = replace(new, index=1, held_out={"last": HeldOut(new.held_out["last"].confusion, None)})
    assert examples_of([new, old], "accuracy", "last") is None
    assert examples_of([new], "nll", "last") is None
    assert examples_of([], "accuracy", "last") is None
    assert all(isnan(end) for end in new_examples_interval(None))
    assert example_differences(None, examples_of([new], "accuracy", "last")) is None


def test_the_interval_is_that_of_the_mean_squares_at_satterthwaites_freedom():
    rng = np.random.default_rng(1)
    x = rng.normal(0, 0.1, (6, 1)) + rng.normal(0, 1, (1, 40)) + rng.normal(0, 0.5, (6, 40))
    n, rows, columns = 40, x.mean(1), x.mean(0)
    squares = [n * rows.var(ddof=1), 6 * columns.var(ddof=1)]
    rest = x - rows[:, None] - columns + x.mean()
    squares.append((rest**2).sum() / (5 * 39))
    total = squares[0] + squares[1] - squares[2]
    freedom = total**2 / (squares[0] ** 2 / 5 + squares[1] ** 2 / 39 + squares[2] ** 2 / (5 * 39))
    half = stats.t.ppf(0.975, freedom) * sqrt(total / (6 * n))
    assert two_way_interval(x) == pytest.approx((x.mean() - half, x.mean() + half))


def test_with_examples_that_are_all_alike_it_is_the_interval_over_repeats():
    rows = np.array([0.2, 0.5, 0.3, 0.7])
    assert two_way_interval(np.repeat(rows[:, None], 30, axis=1)) == pytest.approx(t_interval(rows))


def test_it_is_never_narrower_than_the_interval_over_repeats():
    rng = np.random.default_rng(2)
    for _ in range(50):
        repeats, n = rng.integers(3, 8), rng.integers(2, 60)
        x = rng.normal(0, 1, (repeats, n)) + rng.normal(0, 0.3, (repeats, 1))
        low, high = two_way_interval(x)
        ends = t_interval(x.mean(1))
        assert low <= ends[0] + 1e-12 and high >= ends[1] - 1e-12


@pytest.mark.parametrize(
    "values", [np.empty(0), np.ones((3, 5)), np.eye(5)[:1], np.eye(5, 4)[[0, 4]], np.eye(5)[:, :1]]
)
def test_there_is_none_where_nothing_tells_the_spread(values):
    assert all(isnan(end) for end in two_way_interval(values))


def test_of_one_repeat_it_is_over_run_seeds_and_examples():
    finals = [run(*predictions(seed=s), index=s) for s in range(3)]
    examples = examples_of(finals, "accuracy", "last")
    assert examples is not None
    expected = two_way_interval(np.array(list(examples.values())))
    assert new_examples_interval(examples) == pytest.approx(expected)


def test_run_seeds_of_a_repeat_are_averaged_example_by_example():
    seeds = [(r, s) for r in (0, 1, 2) for s in (0, 1)]
    finals = [run(*predictions(300, seed=10 * r + s), repeat=r, index=s) for r, s in seeds]
    examples = examples_of(finals, "accuracy", "last")
    assert examples is not None
    means = [(examples[r, 0] + examples[r, 1]) / 2 for r in (0, 1, 2)]
    assert new_examples_interval(examples) == pytest.approx(two_way_interval(np.array(means)))
    scores = estimate({(r.repeat, r.index): r.test["last"] for r in finals}, examples, (0.0, 1.0))
    assert scores.new_low <= scores.low + 1e-12 and scores.high - 1e-12 <= scores.new_high

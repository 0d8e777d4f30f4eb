"""The figures that decide: cost against score, what tuning buys, verdicts; and the noise of val."""

from typing import Any

import pytest

from pipelines.report.figures.cost import FRONT
from pipelines.report.figures.hyperparameters import wilson
from pipelines.report.figures.plot import Panel
from pipelines.report.study_state import load_study_state
from tests.support.synthetic_ledger import figures_of


def named(panel: Panel, name: str) -> list[Any]:
    """The traces of a name."""
    return [trace for trace in panel.data if trace.name == name]


# ---- cost against score


def test_the_cost_of_a_tuned_arm_counts_its_search(finished):
    results = load_study_state(finished)[1].results()
    (panel,) = figures_of(finished)["cost"].views["passes"]
    costs = {trace.name: trace.x[0] for trace in panel.data}
    assert costs["gce"] == 3000 * 5  # default, 3 random trials, and the run
    assert costs["gce, default"] == 3000
    assert costs["l2rw"] == 9000
    assert results["arms"]["gce"]["passes"]["search"] == 12000


def test_every_point_of_cost_against_score_has_its_name(finished):
    (panel,) = figures_of(finished)["cost"].views["passes"]
    names = {note.text for note in panel.layout.annotations}
    assert names == {trace.name for trace in panel.data} - {FRONT}


def test_the_front_rises_with_cost_and_nothing_lies_above_it(finished):
    (panel,) = figures_of(finished)["cost"].views["passes"]
    (front,) = named(panel, FRONT)
    steps = list(zip(front.x, front.y, strict=True))
    assert steps[:-1] == sorted(steps[:-1])
    for point in (trace for trace in panel.data if trace is not front):
        reached = max(y for x, y in steps if x <= point.x[0])
        assert point.y[0] <= reached


# ---- what tuning buys


def test_the_gain_of_tuning_is_the_paired_difference_at_each_budget(finished):
    _, study_state = load_study_state(finished)
    results = study_state.results()
    headline = results["headline"]
    (panel,) = figures_of(finished)["gain"].views["trials"]
    (curve,) = [t for t in named(panel, headline["tuned"]) if t.mode == "lines+markers"]
    points = results["arms"][headline["tuned"]]["budget"]["curve"]
    level = results["arms"][headline["untuned"]]["test"]["last"]["mean"]
    expected = [100 * (point["mean"] - level) for point in points]
    assert curve.y == pytest.approx(expected, abs=1e-3)
    assert panel.layout.xaxis.dtick == 1  # no half trials


def test_the_gain_is_drawn_for_arms_with_the_same_clean_labels_alone(finished):
    results = load_study_state(finished)[1].results()
    (panel,) = figures_of(finished)["gain"].views["seconds"]
    tuned = {
        pair["tuned"]
        for pair in results["pairs"]
        if pair["untuned"] == results["headline"]["untuned"] and pair["same_clean_labels"]
    }
    assert {trace.name for trace in panel.data} == tuned


def test_b_star_lies_on_the_line_of_zero_and_its_interval_ends_with_the_search(finished):
    _, study_state = load_study_state(finished)
    results = study_state.results()
    headline = results["headline"]
    pair = next(
        p
        for p in results["pairs"]
        if (p["untuned"], p["tuned"]) == (headline["untuned"], headline["tuned"])
    )
    (panel,) = figures_of(finished)["gain"].views["trials"]
    b_star, traces = pair["break_even"], named(panel, headline["tuned"])
    bars = [t for t in traces if t.mode == "lines" and t.fill is None]
    marks = [t.x[0] for t in traces if t.mode == "markers"]
    if b_star["low"] is not None:
        assert bars[0].x == (
            b_star["low"],
            b_star["largest"] if b_star["high"] is None else b_star["high"],
        )
        assert bars[0].y == (0, 0)
    assert marks == ([] if b_star["budget"] is None else [b_star["budget"]])


# ---- the matrix of verdicts


def test_the_matrix_shows_each_pair_in_the_colour_of_its_verdict(finished):
    results = load_study_state(finished)[1].results()
    views = figures_of(finished)["verdicts"].views
    assert list(views) == ["same clean labels", "all pairs"]
    (panel,) = views["all pairs"]
    shown = {
        (row, column): trace.legendgroup
        for trace in panel.data
        for row, line in zip(trace.y, trace.z, strict=True)
        for column, cell in zip(trace.x, line, strict=True)
        if cell is not None
    }
    verdicts = {(p["untuned"], p["tuned"]): p["verdict"] for p in results["pairs"]}
    assert shown == verdicts


# ---- how far val is off by its few examples


def test_wilson_s_interval_is_that_of_its_paper():
    low, high = wilson(0.9, 10)  # 9 of 10: 0.596 to 0.982 (Newcombe 1998, method 3)
    assert (low, high) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert wilson(1.0, 100)[1] == pytest.approx(1.0)


def test_single_runs_have_the_noise_of_their_val_examples(finished):
    panel, *_ = figures_of(finished)["hyperparameters"].views["gce"]
    (points,) = named(panel, "random trial")
    study = load_study_state(finished)[1].study
    low, high = wilson(points.y[0] / 100, study.protocol.splits.val)
    assert points.error_y.array[0] == pytest.approx(100 * high - points.y[0], abs=1e-2)
    assert points.error_y.arrayminus[0] == pytest.approx(points.y[0] - 100 * low, abs=1e-2)

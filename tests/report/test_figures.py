"""Figures draw the numbers of results.json and of the runs; without data they say why."""

import math
import re
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from pipelines.report import figures
from pipelines.report.figures import confusion
from pipelines.report.figures.inputs import load_inputs
from pipelines.report.figures.plot import Figure, Panel
from pipelines.report.study_state import load_study_state
from tests.conftest import small_study
from tests.support.synthetic_ledger import (
    figures_of,
    write_study,
)

ABLATION = "From the default to what was selected"


def named(panel: Panel, name: str) -> list[Any]:
    """The traces of a name."""
    return [trace for trace in panel.data if trace.name == name]


# ---- the list of figures


def test_every_module_that_draws_is_listed_once_and_names_its_figure(finished):
    modules = {path.stem for path in Path(figures.__file__).parent.glob("[!_]*.py")}
    draws = {m for m in modules if hasattr(import_module(f"{figures.__name__}.{m}"), "draw")}
    assert sorted(figures.FIGURES) == sorted(draws)
    assert [*figures_of(finished)] == [name.replace("_", "-") for name in figures.FIGURES]


def test_every_figure_of_a_full_study_is_drawn_but_for_what_it_was_not_asked_for(finished):
    empty = [name for name, figure in figures_of(finished).items() if not figure.views]
    assert empty == ["sensitivity", "axes"]


def test_captions_give_n_and_speak_of_intervals(finished):
    for figure in figures_of(finished).values():
        if figure.views:
            assert "n = " in figure.caption and "interval" in figure.caption, figure.name


# ---- of a full study


def test_the_budget_figure_draws_the_curves_of_results_json(finished):
    results = load_study_state(finished)[1].results()
    for unit in ("trials", "passes"):
        (panel,) = figures_of(finished)["budget"].views[unit]
        curves = {t.name: t for t in panel.data if t.fill is None}
        for name, arm in results["arms"].items():
            if not arm["tuned"]:
                level = 100 * arm["test"]["last"]["mean"]
                assert curves[name].y == pytest.approx((level, level), 1e-4)
                continue
            points = arm["budget"]["curve"]
            costs = [p["budget" if unit == "trials" else "passes"] for p in points]
            assert curves[name].y == pytest.approx([100 * p["mean"] for p in points], 1e-4)
            assert list(curves[name].x) == costs


def test_the_budget_figure_opens_with_the_two_arms_of_the_verdict(finished):
    headline = load_study_state(finished)[1].results()["headline"]
    (panel,) = figures_of(finished)["budget"].views["trials"]
    visible = {trace.name for trace in panel.data if trace.visible}
    assert visible == {headline["untuned"], headline["tuned"]}


def test_epochs_are_drawn_as_the_median_over_final_runs(finished):
    ledger, study_state = load_study_state(finished)
    inputs = load_inputs(ledger, study_state, study_state.results())
    runs = [inputs.histories[r.key] for r in inputs.final_runs("l2rw")]
    scores = sorted(rows[4]["val/accuracy"] for rows in runs)
    views = figures_of(finished)["epochs"].views
    (curve,) = named(views["all arms, by epochs"][0], "l2rw")
    assert len(scores) == 6
    assert curve.x[4] == 5
    (spent,) = named(views["all arms, by passes"][0], "l2rw")
    assert (spent.x[4], spent.y) == (5 * 750, curve.y)
    assert curve.y[4] == pytest.approx(100 * (scores[2] + scores[3]) / 2, 1e-4)


def test_corrupted_examples_are_drawn_by_what_becomes_of_them(finished):
    memorised, recovered = figures_of(finished)["memory"].views["plain"]
    _, curve = named(memorised, "ce")
    epochs = curve.x[-1]
    assert list(curve.x) == [1, epochs]
    assert list(curve.y) == pytest.approx([10 + 50 / epochs, 60], abs=0.1)
    _, curve = named(recovered, "ce")
    assert list(curve.y) == pytest.approx([70 - 40 / epochs, 30], abs=0.1)


def test_every_search_trial_is_a_point_at_its_val(finished):
    _, study_state = load_study_state(finished)
    trials = [r for r in study_state.records if r.arm == "sce_plus_meta" and r.role == "search"]
    panels = figures_of(finished)["hyperparameters"].views["sce_plus_meta"]
    assert [p.layout.xaxis.title.text for p in panels] == ["alpha", "beta", "meta_repeat"]
    points = [xy for trace in panels[0].data for xy in zip(trace.x, trace.y, strict=True)]
    expected = [(r.config["alpha"], 100 * r.val) for r in trials]
    assert sorted(points) == [pytest.approx(xy, rel=1e-4) for xy in sorted(expected)]


def test_parallel_coordinates_run_from_the_low_to_the_high_end_of_each_range(finished):
    (panel,) = figures_of(finished)["parallel"].views["gce_plus_meta"]
    heights = [y for trace in panel.data for y in trace.y]
    assert all(0 <= y <= 1 for y in heights if y is not None)
    default = (0.7 - 0.05) / (1 - 0.05), math.log(10) / math.log(30)  # q; meta_repeat from 1 to 30
    pairs = list(pairwise(heights))
    assert pairs.count((pytest.approx(default[0], 1e-4), pytest.approx(default[1], 1e-4))) == 3
    assert heights.count(None) == 3 * 4  # one gap per line: repeats x (3 random trials, default)


def test_the_verdict_s_arms_come_first_with_the_span_of_their_runs(finished):
    views = figures_of(finished)["epochs"].views
    assert next(iter(views)) == "the verdict's arms, by epochs"
    (panel,) = views["the verdict's arms, by passes"]
    shaded = {trace.name for trace in panel.data if trace.fill}
    assert {"ce", "l2rw"} < shaded < set(load_study_state(finished)[1].study.arms)


def test_weights_are_densities_over_all_final_runs(finished):
    views = figures_of(finished)["weights"].views
    assert next(iter(views)) == "meta-learned weights"
    for panel in (panel for panels in views.values() for panel in panels):
        assert [t.name for t in panel.data] == ["clean", "corrupted"]
        for trace in panel.data:
            widths = [high - low for low, high in pairwise(trace.x)]
            areas = [w * (y or 0) for w, y in zip(widths, trace.y[:-1], strict=True)]
            assert sum(areas) == pytest.approx(100, 1e-3)
        assert re.fullmatch(r"\w+: AUROC 0\.\d{3} (± 0\.\d{3}|\[0\.\d{3}, 1\.000\])", panel.title)


def test_learned_hyperparameters_stand_beside_what_tuning_selected(finished):
    results = load_study_state(finished)[1].results()
    (panel,) = figures_of(finished)["learned"].views[""]
    levels = [trace.y[0] for trace in named(panel, "gce, selected")]
    selected = [entry["config"]["q"] for entry in results["arms"]["gce"]["selected"]]
    assert panel.title == "gce_learned: q"
    assert panel.layout.yaxis.range == (0.05, 1)  # of the space that gce's search draws q from
    assert levels == pytest.approx(selected, 1e-4)


def test_confusion_matrices_are_shares_of_the_true_class(finished):
    views = figures_of(finished)["confusion"].views
    for arm in ("ce", "l2rw"):
        (panel,) = views[arm]
        assert [sum(row) for row in panel.data[0].z] == pytest.approx([100] * 10, 1e-3)


def test_the_verdict_s_confusion_is_a_difference_with_intervals_of_recall(finished):
    headline = load_study_state(finished)[1].results()["headline"]
    label = f"{headline['untuned']} minus {headline['tuned']}"
    views = figures_of(finished)["confusion"].views
    assert next(iter(views)) == label
    matrix, recall = views[label]
    ours, theirs = (views[headline[side]][0].data[0].z for side in ("untuned", "tuned"))
    gap = ours[3][3] - theirs[3][3]
    assert matrix.data[0].z[3][3] == pytest.approx(gap, abs=2e-3)
    assert recall.data[0].x[3] == pytest.approx(gap, abs=2e-3)
    assert recall.data[0].error_x.array[3] > 0


def test_of_many_classes_the_page_draws_those_with_the_most_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(confusion, "SHOWN_CLASSES", 2)
    storage = write_study(tmp_path, small_study(("ce",)))
    figure = figures_of(storage)["confusion"]
    (panel,) = figure.views["ce"]
    assert np.shape(panel.data[0].z) == (2, 2)
    assert "The 2 of 10 classes with the most errors." in figure.caption


# ---- of what only some studies have: axes, sensitivity runs, hyperparameter importance


@pytest.fixture(scope="module")
def results(everything) -> dict[str, Any]:
    """The results of a study that has all of it."""
    return load_study_state(everything)[1].results()


@pytest.fixture(scope="module")
def drawn(everything) -> dict[str, Figure]:
    """Its figures."""
    return figures_of(everything)


def curve_of(figure: Figure, arm: str, knob: str) -> tuple[Panel, go.Scatter]:
    """The panel and the only trace of one knob."""
    (panel,) = [p for p in figure.views[arm] if p.title.startswith(f"{knob}:")]
    (curve,) = panel.data
    return panel, curve


def points_at(panel: Panel, mode: str, label: str) -> list[float]:
    """The numbers drawn at a label, by lines or by markers."""
    traces = [trace for trace in panel.data if trace.mode == mode]
    return [x for t in traces for x, y in zip(t.x, t.y, strict=True) if y == label]


def test_the_axes_of_a_study_are_drawn(results, drawn):
    scenarios = results["scenarios"]["scenarios"]
    (panel,) = drawn["axes"].views["noise.rate"]
    (curve,) = named(panel, "ce")
    assert curve.x == (0.0, 0.2, 0.4)  # the study's own rate among them
    names = ("noise.rate=0.0", "noise.rate=0.2", "")
    means = [scenarios[name]["arms"]["ce"]["test"]["last"]["mean"] for name in names]
    assert curve.y == pytest.approx([100 * mean for mean in means], 1e-4)


def test_a_knob_s_scores_stand_against_its_factor_around_the_reference(drawn):
    panel, curve = curve_of(drawn["sensitivity"], "l2rw", "schedule.lr")
    assert curve.x == (0.25, 0.5, 1, 2, 4)
    assert curve.y == pytest.approx([86.2, 88.2, 90.2, 88.2, 86.2])
    assert curve.marker.symbol == ("circle", "circle", "star", "circle", "circle")
    assert panel.title == "schedule.lr: worst 86.2, spread 4.0, gain +0.0"
    # Three repeats 0.2 apart: half an interval is t(2) s/√3 = 4.30265 * 0.2 / √3.
    assert curve.error_y.array == pytest.approx([0.49683] * 5, rel=1e-4)


def test_all_knobs_of_an_arm_share_one_scale(drawn):
    for panels in drawn["sensitivity"].views.values():
        assert len({panel.layout.yaxis.range for panel in panels}) == 1


def test_worst_cases_run_from_the_lowest_to_the_highest_mean(drawn):
    (panel,) = drawn["sensitivity"].views["worst cases"]
    assert points_at(panel, "lines", "l2rw<br>schedule.lr") == pytest.approx([86.2, 90.2])
    assert points_at(panel, "markers", "l2rw<br>schedule.lr") == pytest.approx([90.2])


def test_the_reference_of_a_tuned_arm_is_its_published_default(results, drawn):
    arm = results["arms"]["gce_plus_meta"]
    (panel, *_) = drawn["sensitivity"].views["gce_plus_meta"]
    (curve,) = panel.data
    star = curve.y[curve.marker.symbol.index("star")]
    assert arm["default"]["test"]["last"]["mean"] != arm["test"]["last"]["mean"]
    assert star == pytest.approx(100 * arm["default"]["test"]["last"]["mean"], rel=1e-4)


def test_a_knob_that_lets_runs_diverge_is_crossed(drawn):
    panel, curve = curve_of(drawn["sensitivity"], "gce_plus_meta", "schedule.lr")
    assert (curve.y[-1], curve.marker.symbol[-1]) == (0, "x")
    assert curve.text[-1] == "0.2, 3 diverged"
    assert "worst 0.0" in panel.title


def test_without_sensitivity_runs_a_sentence_says_why(tmp_path):
    storage = write_study(tmp_path / "none", small_study(), limit=0)
    caption = figures_of(storage)["sensitivity"].caption
    assert caption == "Left out: the study asks for no sensitivity runs."
    storage = write_study(tmp_path / "soon", small_study(sensitivity=["l2rw"]), limit=0)
    caption = figures_of(storage)["sensitivity"].caption
    assert caption == "Left out: no sensitivity run has finished."


def test_importance_stands_beside_the_hyperparameters_it_is_about(results, drawn):
    shares = results["arms"]["gce_plus_meta"]["importance"]
    panels = drawn["hyperparameters"].views["gce_plus_meta"]
    assert [p.title for p in panels] == ["", "", "Importance", ABLATION]
    bars, variance = panels[2].data
    lengths = dict(zip(bars.y, bars.x, strict=True))
    assert lengths == pytest.approx({knob: 100 * s for knob, s in shares.items()}, rel=1e-4)
    assert sum(bars.x) == pytest.approx(100, rel=1e-4)
    assert list(variance.y) == list(bars.y) and sum(variance.x) == pytest.approx(100, rel=1e-4)
    assert [t.name for t in panels[0].data][:2] == ["expected", "expected"]  # a band and its curve
    assert list(bars.x) == sorted(bars.x)  # plotly draws from below: the largest stands on top


def test_the_way_to_what_was_selected_has_a_bar_for_each_step(results, drawn):
    path = results["arms"]["gce_plus_meta"]["ablation"]
    *_, panel = drawn["hyperparameters"].views["gce_plus_meta"]
    (bar,) = panel.data
    gains = {step["knob"]: 100 * step["gain"]["mean"] for step in path}
    assert dict(zip(bar.y, bar.x, strict=True)) == pytest.approx(gains, rel=1e-3, abs=1e-3)
    assert list(bar.x) == sorted(bar.x) and panel.title == ABLATION
    assert [step["gain"]["n"] for step in path] == [3, 3]


def test_too_few_trials_tell_no_importance(tmp_path):
    storage = write_study(tmp_path, small_study(("gce_plus_meta",), trials=3))
    panels = figures_of(storage)["hyperparameters"].views["gce_plus_meta"]
    assert [p.title for p in panels] == ["", ""]


def test_an_arm_with_several_weight_functions_has_a_panel_for_each(tmp_path):
    storage = write_study(tmp_path, small_study(("ce", "mw_net", "cmw_net")))
    drawn = figures_of(storage)["weight-function"]
    assert {arm: [p.title for p in panels] for arm, panels in drawn.views.items()} == {
        "mw_net": [""],
        "cmw_net": ["1", "2", "3"],
    }
    last = [panel.data[-1].y[0] for panel in drawn.views["cmw_net"]]
    assert last == pytest.approx([1 / 2, 2 / 3, 3 / 4], 1e-3)  # of the last epoch
    assert "1 is that of its smallest classes" in drawn.caption

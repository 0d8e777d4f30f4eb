"""Figures of what only some studies have: axes, sensitivity runs, hyperparameter importance."""

from typing import Any

import pytest

from pipelines.report.figures.plot import Figure, Panel
from pipelines.report.records import load_study_state
from tests.conftest import small_study
from tests.support.synthetic_ledger import (
    figures_of,
    study_of_everything,
    with_known_knobs,
    write_study,
)

Everything = tuple[dict[str, Any], dict[str, Figure]]


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> Everything:
    """Results and figures of a study that has all of it."""
    place = tmp_path_factory.mktemp("everything")
    write_study(place, study_of_everything(), with_known_knobs)
    return load_study_state(str(place))[1].results(), figures_of(str(place))


def points(panel: Panel, mode: str, label: str) -> list[float]:
    """The numbers drawn at a label."""
    traces = [trace for trace in panel.data if trace["mode"] == mode]
    pairs = (pair for t in traces for pair in zip(t["x"], t["y"], strict=True))
    return [x for x, y in pairs if y == label]


def test_the_axes_of_a_study_are_drawn(everything):
    scenarios = everything[0]["scenarios"]["scenarios"]
    (panel,) = everything[1]["axes"].views["noise.rate"]
    drawn = next(trace for trace in panel.data if trace["name"] == "ce")
    assert drawn["x"] == [0.0, 0.2, 0.4]  # the study's own rate among them
    names = ("noise.rate=0.0", "noise.rate=0.2", "")
    means = [scenarios[name]["arms"]["ce"]["test"]["last"]["mean"] for name in names]
    assert drawn["y"] == pytest.approx([100 * mean for mean in means], 1e-4)


def test_a_knob_s_scores_stand_against_its_factor_around_the_reference(everything):
    panels = everything[1]["sensitivity"].views["l2rw"]
    (panel,) = [p for p in panels if p.title.startswith("schedule.lr")]
    (curve,) = panel.data
    assert curve["x"] == [0.25, 0.5, 1, 2, 4]
    assert curve["y"] == pytest.approx([86.1, 88.1, 90.1, 88.1, 86.1])
    assert curve["marker"]["symbol"] == ["circle", "circle", "star", "circle", "circle"]
    assert panel.title == "schedule.lr: worst 86.1, spread 4.0, gain +0.0"
    # Two repeats 0.2 apart: half an interval is t(1) s/√2 = 12.706 * 0.2 / 2.
    assert curve["error_y"]["array"] == pytest.approx([1.2706] * 5, rel=1e-4)


def test_all_knobs_of_an_arm_share_one_scale(everything):
    for panels in everything[1]["sensitivity"].views.values():
        scales = {str(panel.layout["yaxis"].get("range")) for panel in panels}
        assert len(scales) == 1


def test_worst_cases_run_from_the_lowest_to_the_highest_mean(everything):
    (panel,) = everything[1]["sensitivity"].views["worst cases"]
    assert points(panel, "lines", "l2rw<br>schedule.lr") == pytest.approx([86.1, 90.1])
    assert points(panel, "markers", "l2rw<br>schedule.lr") == pytest.approx([90.1])


def test_the_reference_of_a_tuned_arm_is_its_published_default(everything):
    arm = everything[0]["arms"]["gce_plus_meta"]
    (panel, *_) = everything[1]["sensitivity"].views["gce_plus_meta"]
    (curve,) = panel.data
    star = curve["y"][curve["marker"]["symbol"].index("star")]
    assert arm["default"]["test"]["last"]["mean"] != arm["test"]["last"]["mean"]
    assert star == pytest.approx(100 * arm["default"]["test"]["last"]["mean"], rel=1e-4)


def test_a_knob_that_lets_runs_diverge_is_crossed(everything):
    panels = everything[1]["sensitivity"].views["gce_plus_meta"]
    (panel,) = [p for p in panels if p.title.startswith("schedule.lr")]
    (curve,) = panel.data
    assert (curve["y"][-1], curve["marker"]["symbol"][-1]) == (0, "x")
    assert curve["text"][-1] == "0.2, 2 diverged"
    assert "worst 0.0" in panel.title


def test_without_sensitivity_runs_a_sentence_says_why(tmp_path):
    place = write_study(tmp_path / "none", small_study(), limit=0)
    caption = figures_of(place)["sensitivity"].caption
    assert caption == "Left out: the study asks for no sensitivity runs."
    place = write_study(tmp_path / "soon", small_study(sensitivity=["l2rw"]), limit=0)
    caption = figures_of(place)["sensitivity"].caption
    assert caption == "Left out: no sensitivity run has finished."


def test_importance_stands_beside_the_hyperparameters_it_is_about(everything):
    shares = everything[0]["arms"]["gce_plus_meta"]["importance"]
    panels = everything[1]["hyperparameters"].views["gce_plus_meta"]
    assert [p.title for p in panels] == ["", "", "Importance"]
    (bars,) = panels[-1].data
    drawn = dict(zip(bars["y"], bars["x"], strict=True))
    assert drawn == pytest.approx({knob: 100 * share for knob, share in shares.items()}, rel=1e-4)
    assert sum(drawn.values()) == pytest.approx(100, rel=1e-4)
    assert bars["x"] == sorted(bars["x"])  # plotly draws from below: the largest stands on top


def test_too_few_trials_tell_no_importance(tmp_path):
    place = write_study(tmp_path, small_study(("gce_plus_meta",), trials=3))
    panels = figures_of(place)["hyperparameters"].views["gce_plus_meta"]
    assert [p.title for p in panels] == ["", ""]

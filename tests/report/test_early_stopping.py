"""What the report shows of early stopping: from histories in a ledger to page and headline."""

import json
from pathlib import Path

import pytest

from pipelines.planning.resume import course_of
from pipelines.report.figures.early_stopping import STOPPED, WHOLE
from pipelines.report.pages import write_report
from pipelines.report.stopping_rules import stopping_rules
from pipelines.report.study_state import load_study_state
from tests.conftest import small_study
from tests.support.synthetic_ledger import completed, diverged, figures_of, write_study


def test_the_course_of_a_trial_is_that_of_its_history_by_the_epoch_rule(finished):
    _, state = load_study_state(finished)
    trial = next(t for t in state.trials.values() if t.spec["arm"] == "gce")
    rows = [
        {"epoch": 1, "val/accuracy": 0.3, "passes": 10},
        {"epoch": 2, "val/accuracy": 0.2, "passes": 20},
        {"epoch": 3, "val/accuracy": 0.5, "passes": 30},
    ]
    protocol = state.study.protocol
    assert course_of(trial, rows, protocol) == ((0.3, 0.2, 0.5), (10, 20, 30), 3)
    selected = protocol.model_copy(update={"epoch": "selected"})
    assert course_of(trial, rows, selected).val == (0.3, 0.3, 0.5)
    nll = protocol.model_copy(update={"metric": "nll"})
    assert course_of(trial, [{"epoch": 1, "val/nll": 2.0}], nll).val == (-2.0,)


def test_a_trial_that_diverged_has_the_epochs_that_were_planned(tmp_path):
    study = small_study(("gce",), trials=1, repeats=1)
    storage = write_study(tmp_path, study, diverged, limit=1)
    ledger, state = load_study_state(storage)
    [trial] = state.trials.values()
    [rows] = ledger.histories([trial]).values()
    course = course_of(trial, rows, state.study.protocol)
    assert course == ((0.1,), (250, 500), 3)  # rows without passes: 500 over two of three epochs


def test_the_figure_draws_both_curves_and_the_ranks(finished):
    results = load_study_state(finished)[1].results()
    views = figures_of(finished)["early-stopping"].views
    assert next(iter(views)) == results["headline"]["tuned"]
    curves, ranks = views["gce"]
    arm = results["arms"]["gce"]
    entry = arm["early_stopping"]
    for name, points in ((WHOLE, arm["budget"]["curve"]), (STOPPED, entry["curve"])):
        *_, drawn = [trace for trace in curves.data if trace.name == name]
        assert list(drawn.x) == [p["passes"] for p in points]
        assert list(drawn.y) == pytest.approx([100 * p["mean"] for p in points], rel=1e-4)
    *_, drawn = ranks.data
    assert list(drawn.y) == pytest.approx([p["mean"] for p in entry["ranks"]], rel=1e-4)
    assert drawn.x[-1] == 100 and drawn.y[-1] == 1


def test_the_table_has_the_verdicts_arm_first_and_folds_the_others(finished):
    results = load_study_state(finished)[1].results()
    table = stopping_rules(results)
    tuned = results["headline"]["tuned"]
    assert {row["arm"].text for row in table.rows} == {tuned}
    others = {"gce", "sce_plus_meta", "gce_plus_meta"} - {tuned}
    assert {row["arm"].text for row in table.folded} == others
    first, *_ = table.rows
    assert first["rule"].text == "halving, eta 3 from 1/9"
    assert first["saved"].text == "58"  # of four trials of 12 epochs: 4 x 2 + 2 x 2 + 1 x 8 of 48


def test_the_short_report_has_the_table_and_the_headline_the_sentence(finished):
    text = (Path(finished) / "report.md").read_text()
    assert "## Rules that stop trials early" in text
    assert "Stopped early (halving, eta 3 from 1/9 of the epochs; simulated), the search of" in text


def test_a_history_that_is_gone_is_said_and_its_repeat_left_out(tmp_path):
    storage = write_study(tmp_path, small_study(("ce", "gce"), trials=3, repeats=2), completed)
    _, state = load_study_state(storage)
    lost = next(r for r in state.records if (r.arm, r.role, r.repeat) == ("gce", "search", 1))
    path = state.trials[lost.key].history_path
    assert path
    (tmp_path / path).unlink()
    write_report(storage)
    results = json.loads((tmp_path / "results.json").read_text())
    assert "gce: early stopping lacks histories in repeats [1]" in results["missing"]
    assert {p["n"] for p in results["arms"]["gce"]["early_stopping"]["curve"]} == {1}


def test_a_study_of_defaults_alone_says_why_there_is_none(tmp_path):
    storage = write_study(tmp_path, small_study(("ce", "gce"), trials=0))
    figure = figures_of(storage)["early-stopping"]
    assert not figure.views and figure.caption.startswith("Left out: no tuned arm has")
    assert not stopping_rules(load_study_state(storage)[1].results()).rows

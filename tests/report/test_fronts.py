"""What is shown of fronts: in results, on the page, in the terminal, and in an Optuna storage."""

import io
import json

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from rich.console import Console

from pipelines.errors import UserError
from pipelines.execution.preflight import check
from pipelines.report.front_table import front_table
from pipelines.report.study_report import StudyReport, study_report
from pipelines.report.study_state import load_study_state
from pipelines.report.terminal import print_answer
from pipelines.study.study_file import Study, parse_study
from pipelines.tracking.optuna_storage import write_optuna_storage
from tests.conftest import DIGITS
from tests.support.synthetic_ledger import completed, diverged, write_study

RECALL = "val/worst_class_recall"


def study(arms=("ce", "gce", "gce_plus_meta"), trials=6, **protocol) -> Study:
    raw = {"name": "two", "protocol": DIGITS | protocol}
    request = {"arms": list(arms), "trials": trials, "repeats": 2, "seeds": 1}
    return parse_study(raw | {"request": request}, "two")


def outcome(spec):
    """Recall rises with q, as val falls; of `gce` the second random trial diverges."""
    if spec["arm"] == "gce" and (spec["role"], spec["index"]) == ("search", 2):
        return diverged(spec)
    result, history = completed(spec)
    q = spec["config"].get("q", 0.5)
    result["val"] = {"last": 0.9 - 0.3 * q, "selected": 0.9 - 0.3 * q}
    for row in history:
        row[RECALL] = 0.1 + 0.5 * q * row["epoch"] / len(history)
    return result, history


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> str:
    asked = study(search="nsga2", second_aim="worst_class_recall")
    return write_study(tmp_path_factory.mktemp("two"), asked, outcome)


@pytest.fixture(scope="module")
def report(storage) -> StudyReport:
    return study_report(storage)


def test_all_trials_are_on_the_front_where_one_aim_is_paid_for_with_the_other(report):
    results = report.results
    [front] = results["arms"]["gce"]["fronts"]  # all of them cost the same
    assert front["aim"] == results["selection"]["second_aim"] == "worst_class_recall"
    own = [trial for trial in front["trials"] if trial["repeat"] == 0]
    assert sorted(trial["index"] for trial in own) == [0, 1, 3, 4, 5, 6]
    assert [t["selected"] for t in own] == [False] * 5 + [True]  # the highest val comes last
    for trial in own:
        assert trial["value"] == pytest.approx(0.1 + 0.5 * trial["config"]["q"])
        assert trial["val"] == pytest.approx(0.9 - 0.3 * trial["config"]["q"])
    assert json.dumps(results, allow_nan=False)


def test_the_table_is_of_the_verdicts_arm_and_the_others_are_folded(report):
    results = report.results
    [table] = front_table(results)
    tuned = results["headline"]["tuned"] or "gce"
    assert {row["arm"].text for row in table.rows} == {tuned}
    assert {row["arm"].text for row in table.folded} == {"gce", "gce_plus_meta"} - {tuned}
    row = table.rows[0]
    assert row["config"].text.startswith("q = ") and row["value"].order is not None
    assert "nsga2 by val and worst-class recall" in report.set_up.search


def test_a_launch_ends_with_the_front_above_the_answer(report):
    console = Console(file=io.StringIO(), width=100)
    print_answer(report.results, console)
    text = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    head = text.index("Configurations on the Pareto front")
    assert head < text.index("val worst-class recall, %") < text.index("What should I use?")


def test_the_figure_has_every_trial_the_front_of_each_repeat_and_what_was_selected(report):
    figure = next(f for f in report.figures if f.name == "fronts")
    assert list(figure.views) == ["gce", "gce_plus_meta"]
    [panel] = figure.views["gce"]
    lines = [trace for trace in panel.data if trace.mode == "lines+markers"]
    stars = [trace for trace in panel.data if trace.marker.symbol == "star"]
    assert [trace.name for trace in lines] == ["repeat 0", "repeat 1"]
    assert [len(trace.x) for trace in stars] == [1, 1]
    assert list(lines[0].x) == sorted(lines[0].x, reverse=True)
    assert "repeat 0, trial " in lines[0].text[0] and ": q = " in lines[0].text[0]
    assert panel.layout.xaxis.title.text == "val worst-class recall, %"


def test_a_search_by_val_alone_has_fronts_in_results_and_page_and_no_table(tmp_path):
    storage = write_study(tmp_path, study(("gce",), trials=3), outcome)
    results = load_study_state(storage)[1].results()
    assert [front["aim"] for front in results["arms"]["gce"]["fronts"]] == ["worst_class_recall"]
    assert front_table(results) == [] and "second_aim" not in results["selection"]


def test_where_nothing_differs_the_page_says_so(tmp_path):
    asked = study(("sce",), trials=2, second_aim="passes")
    storage = write_study(tmp_path, asked)  # of a formula in which alpha and beta change nothing
    report = study_report(storage)
    [table] = front_table(report.results)
    assert table.about == "Left out: no search has completed trials that differ in passes."
    [figure] = [f for f in report.figures if f.name == "fronts"]
    assert figure.caption.startswith("Left out: no search has trials that differ in cost")


def test_an_optuna_study_has_both_values_and_their_names(report, tmp_path):
    path, _ = write_optuna_storage(report.location, tmp_path / "x.log")
    opened = JournalStorage(JournalFileBackend(str(path)))
    exported = optuna.load_study(study_name="two / gce / repeat 0", storage=opened)
    assert [d.name for d in exported.directions] == ["MAXIMIZE", "MAXIMIZE"]
    assert exported.metric_names == ["val accuracy", "worst-class recall"]
    records = {r.index: r for r in report.study_state.records_with_histories[""]
               if (r.arm, r.role, r.repeat) == ("gce", "search", 0)}  # fmt: skip
    for index, trial in enumerate(exported.trials):
        assert trial.state == TrialState.COMPLETE
        if index != 2:
            assert trial.values == [
                records[index].val, records[index].scores_on_val["worst_class_recall"],
            ]  # fmt: skip
    lowest = min(t.values[1] for i, t in enumerate(exported.trials) if i != 2)
    assert exported.trials[2].values == [0.0, lowest]  # it diverged
    front = report.results["arms"]["gce"]["fronts"][0]["trials"]
    expected = {trial["index"] for trial in front if trial["repeat"] == 0}
    assert {trial.number for trial in exported.best_trials} == expected
    plain = optuna.load_study(study_name="two / ce / repeat 0", storage=opened)
    assert len(plain.directions) == 1  # nothing is searched for


def test_cost_is_no_aim_where_nothing_that_is_tuned_changes_it():
    with pytest.raises(UserError, match=r"second_aim = 'passes': nothing that is tuned changes"):
        check(study(("ce", "gce"), second_aim="passes"))


@pytest.mark.slow
def test_cost_is_an_aim_where_an_arm_tunes_it():
    check(study(("gce", "maxup"), second_aim="passes"))


@pytest.mark.slow
def test_a_search_by_two_aims_that_was_killed_goes_on_in_its_ledger(tmp_path, report):
    asked = study(search="nsga2", second_aim="worst_class_recall")
    for limit in (5, 11, None):
        again = write_study(tmp_path / "killed", asked, outcome, limit)
    killed = load_study_state(again)[1]
    assert {k: t.spec for k, t in report.study_state.trials.items()} == {
        k: t.spec for k, t in killed.trials.items()
    }

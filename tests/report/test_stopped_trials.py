"""Trials that were stopped early are shown as such: not failed, and never selected."""

import csv
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from rich.console import Console

from pipelines.commands.status import show_status
from pipelines.execution.estimate import estimate
from pipelines.execution.live import live_view
from pipelines.report.dashboard import Dashboard
from pipelines.report.pages import write_report
from pipelines.report.study_report import study_report
from pipelines.tracking.optuna_storage import write_optuna_storage
from tests.conftest import small_study
from tests.report.browser import READY, needs_browser
from tests.support.synthetic_ledger import write_study

STUDY = small_study(
    ("ce", "gce", "sce"), trials=5, repeats=3, stopping="halving", stopping_of={"sce": "none"}
)


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> str:
    """Six trials a search, of three epochs: the best two of them go on at the first one."""
    return write_study(tmp_path_factory.mktemp("stopped"), STUDY)


@pytest.fixture(scope="module")
def report(storage):
    return study_report(storage)


def test_results_count_them_apart_and_say_what_was_saved(report):
    arm = report.results["arms"]["gce"]
    # Search trials: 2 of 6 in each of 3 repeats; beside them 3 of the default and 3 final ones.
    counts = {name: arm["trials"][name] for name in ("completed", "stopped", "failed")}
    assert counts["stopped"] == 12 and counts["failed"] == 0
    assert arm["trials"]["completed"] + arm["trials"]["shared"] == 6 + 3 + 3
    assert arm["stopping"]["rule"] == "halving, eta 3 from 1/3"
    assert (arm["stopping"]["trials"], arm["stopping"]["stopped"]) == (18, 12)
    # Two trials of 3000 passes, and four that ran one epoch of 250, of three.
    assert arm["stopping"]["passes_saved"]["mean"] == pytest.approx(1 - 7000 / 9000)
    assert report.results["runs"]["done"] == report.results["runs"]["planned"]
    assert not report.results["missing"]


def test_there_are_no_budget_curves_of_them_but_what_the_searches_had(report):
    stopped, whole = (report.results["arms"][name] for name in ("gce", "sce"))
    assert stopped["budget"]["kind"] == "incumbents" and stopped["budget"]["incumbents"]
    assert "early_stopping" not in stopped and "stopping" not in whole
    assert whole["budget"]["kind"] == "expected" and whole["early_stopping"]["rules"]


def test_only_trials_that_ended_are_selected(report):
    ended = {t.key for t in report.study_state.trials.values() if t.state == "completed"}
    records = {
        (r.repeat, r.index): r.key
        for r in report.study_state.records
        if (r.arm, r.role) == ("gce", "search")
    }
    chosen = report.results["arms"]["gce"]["selected"]
    assert {records[s["repeat"], s["index"]] for s in chosen} <= ended


def test_the_page_has_a_table_and_the_set_up_names_the_rule(report, storage):
    [table] = [t for t in report.comparisons if t.name == "stopped"]
    [row] = table.rows
    assert [row[name].text for name in ("arm", "stopped")] == ["gce", "12 of 18"]
    assert "stopped early by halving, eta 3 from 1/3 of the epochs: gce" in report.set_up.search
    assert "12 stopped" in report.progress and not report.failures
    write_report(storage)
    page = (Path(storage) / "report.html").read_text()
    assert table.title in page


def test_the_table_of_trials_says_at_which_epoch(storage):
    write_report(storage)
    rows = list(csv.DictReader((Path(storage) / "trials.csv").read_text().splitlines()))
    stopped = [row for row in rows if row["status"] == "stopped"]
    assert len(stopped) == 12
    assert {(r["arm"], r["role"], r["stopped_epoch"], r["val"]) for r in stopped} == {
        ("gce", "search", "1", "")
    }
    assert {row["passes"] for row in stopped} == {"250"}


def test_status_counts_them(storage, capsys):
    show_status(storage, False, Console(width=120))
    text = capsys.readouterr().out
    assert "stopped early" in text
    [line] = [line for line in text.splitlines() if line.startswith("gce")]
    assert line.split()[1] == "24/24" and line.split()[-1] == "12"


@pytest.mark.slow
@needs_browser
def test_the_live_page_counts_them_apart_from_what_went_wrong(tmp_path, serve, show):
    storage = write_study(tmp_path, STUDY, limit=55)  # its searches have ended
    page = show(f"http://127.0.0.1:{serve(Dashboard([storage], live_view))}/", READY)
    head = page.locator(".arms thead th").all_text_contents()
    rows = [
        row.locator("th, td").all_text_contents() for row in page.locator(".arms tbody tr").all()
    ]
    table = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert {arm: row["stopped early"] for arm, row in table.items()} == {
        "ce": "", "gce": "12", "sce": ""
    }  # fmt: skip
    assert {row["failed"] for row in table.values()} == {""}
    page.close()  # before the dashboard goes


def test_an_optuna_export_has_them_as_pruned(storage, tmp_path):
    path, _ = write_optuna_storage(storage, tmp_path / "x.log")
    journal = JournalStorage(JournalFileBackend(str(path)))
    trials = optuna.load_study(study_name="small / gce / repeat 0", storage=journal).trials
    pruned = [t for t in trials if t.state == TrialState.PRUNED]
    assert len(trials) == 6 and len(pruned) == 4
    assert {t.user_attrs["stopped_epoch"] for t in pruned} == {1}
    assert all(list(t.intermediate_values) == [1] for t in pruned)


def test_a_plan_counts_what_will_be_stopped_as_saved():
    plain = STUDY.model_copy(
        update={"request": STUDY.request.model_copy(update={"stopping_of": {}})}
    )
    costs = estimate(plain)
    assert costs["gce"].trials == costs["sce"].trials == 24
    # Of six searched trials two run whole, and four a third: 3 1/3 whole ones.
    each = costs["ce"].passes / costs["ce"].trials
    assert costs["gce"].passes == round((24 - 3 * (6 - 10 / 3)) * each)

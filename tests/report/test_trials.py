"""trials.csv and the page's trials hold what the ledger knows of each trial."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest

from pipelines.report import trials
from pipelines.report.pages import write_report
from pipelines.report.study_report import study_report
from pipelines.report.trials import trials_for_page
from pipelines.trial_documents import EDGES
from tests.conftest import small_study
from tests.support.synthetic_ledger import completed, diverged, write_study


def test_trials_csv_has_one_row_for_each_trial(finished):
    table = pd.read_csv(Path(finished, "trials.csv"))
    state = study_report(finished).study_state
    assert sorted(table.key) == sorted(state.trials)
    for row in table[table.arm == "gce"].to_dict("records"):
        trial = state.trials[row["key"]]
        assert row["config.q"] == trial.spec["config"]["q"]
        assert (row["role"], row["repeat"]) == (trial.spec["role"], trial.spec["repeat"])
        assert row["val"] == trial.result["val"]["last"]
        assert row["test"] == trial.result["held_out"]["score"]["last"]
        assert (row["seconds"], row["status"]) == (1.5, "completed")


def test_a_trial_that_serves_two_roles_is_one_row_that_names_the_other(tmp_path):
    # Val is highest at the default, so it wins the search: its runs are final ones.
    def outcome(spec):
        result, history = completed(spec)
        result["val"] = {"last": 1 - abs(spec["config"]["q"] - 0.7), "selected": 0.5}
        return result, history

    storage = write_study(tmp_path, small_study(("gce",), trials=1, repeats=1), outcome)
    table = pd.read_csv(io.StringIO(trials.trials_csv(study_report(storage).trials)))
    assert set(table[table.also == "default"].role) == {"final"}
    assert not table.key.duplicated().any()


def test_failed_and_diverged_trials_are_rows_without_the_numbers_they_lack(tmp_path):
    def outcome(spec):
        if spec["arm"] == "ce":
            return OSError("no such disk")
        return diverged(spec) if spec["arm"] == "l2rw" else completed(spec)

    storage = write_study(tmp_path, small_study(("ce", "gce", "l2rw"), repeats=1), outcome)
    write_report(storage)
    table = pd.read_csv(tmp_path / "trials.csv")
    of_ce, of_l2rw = table[table.arm == "ce"], table[table.arm == "l2rw"]
    assert set(of_ce.status) == {"failed"} and of_ce[["val", "test", "seconds"]].isna().all(
        axis=None
    )
    assert set(of_l2rw.status) == {"diverged"} and set(of_l2rw.test) == {0.0}
    page = trials_for_page(*opened(storage))
    (failed, *_) = [t for t in page["trials"] if t["arm"] == "ce"]
    assert failed["error"] == "OSError: no such disk"
    assert failed["files"][-1].endswith("traceback.txt")
    assert all((tmp_path / file).exists() for t in page["trials"] for file in t["files"])


def opened(storage):
    report = study_report(storage)
    return report.ledger, report.study_state


def test_the_page_has_each_trial_s_curves_and_newest_weights(finished):
    ledger, state = opened(finished)
    page = trials_for_page(ledger, state)
    trial = next(t for t in page["trials"] if t["arm"] == "l2rw")
    (rows,) = ledger.histories([state.trials[trial["key"]]]).values()
    assert trial["epochs"] == [row["epoch"] for row in rows]
    assert trial["vals"] == pytest.approx([100 * row["val/accuracy"] for row in rows], rel=1e-4)
    assert trial["losses"] == pytest.approx([row["train/loss"] for row in rows], rel=1e-4)
    assert trial["weights"] == [rows[-1]["weights/clean"], rows[-1]["weights/corrupted"]]
    assert page["edges"] == EDGES


def test_curves_are_thinned_out_to_what_a_page_can_hold(finished, monkeypatch):
    ledger, state = opened(finished)
    monkeypatch.setattr(trials, "POINTS", 3 * len(state.trials))
    page = trials_for_page(ledger, state)
    assert {tuple(t["epochs"]) for t in page["trials"]} == {(1, 7, 12)}  # first and last among them


def test_of_a_huge_study_only_final_runs_have_curves(finished, monkeypatch):
    ledger, state = opened(finished)
    monkeypatch.setattr(trials, "DRAWN_TRIALS", 4)
    page = trials_for_page(ledger, state)
    drawn = [t["role"] for t in page["trials"] if "epochs" in t]
    assert drawn == ["final"] * 4 and len(page["trials"]) == len(state.trials)


def test_trials_lead_to_their_runs_in_w_and_b_once_they_are_published(tmp_path):
    storage = write_study(tmp_path, small_study(("ce",)))
    assert trials_for_page(*opened(storage))["tracked"] is None
    runs = "https://wandb.example/me/untuned/runs/{key}-5f"
    published = {"here": {"runs": ["ce-1"], "run_url": runs}}
    (tmp_path / "wandb.json").write_text(json.dumps(published))
    assert trials_for_page(*opened(storage))["tracked"] == {"url": runs, "keys": ["ce-1"]}


def test_the_documented_line_of_pandas_works(finished):
    table = pd.read_csv(io.StringIO(Path(finished, "trials.csv").read_text()))
    best = table[table.role == "search"].sort_values("val").groupby(["arm", "repeat"]).last()
    assert len(best) == 3 * 3  # tuned arms x repeats

"""A run that collapsed is counted, named and passed over, wherever a person looks."""

import io
import json

import pandas as pd
import pytest

from pipelines.commands.best import show_best
from pipelines.documents import Json
from pipelines.errors import UserError
from pipelines.execution.live import live_view
from pipelines.report.study_report import study_report
from pipelines.report.study_state import load_study_state
from pipelines.report.tables import rows
from pipelines.report.trials import trials_csv, trials_for_page
from pipelines.suspects.ranking import find_suspects
from pipelines.tracking.rows import tracked_summary
from tests.conftest import small_study
from tests.support.synthetic_ledger import completed, write_study

STUDY = small_study(("ce", "l2rw"), trials=0, repeats=2, seeds=2)
SIGNS = {"chance": 4, "exploded": 2}
WORDS = "it scores at chance since epoch 4; the hypergradient exploded in epoch 2"


def made(folder, lost) -> str:
    """A study in which the runs of l2rw that are `lost` collapse, with the highest val of all."""

    def outcome(spec: Json) -> tuple[Json, list[Json]]:
        result, history = completed(spec)
        collapses = spec["arm"] == "l2rw" and lost(spec)
        val = {"last": 0.99, "selected": 0.99} if collapses else result["val"]
        return result | {"collapse": SIGNS if collapses else {}, "val": val}, history

    return write_study(folder, STUDY, outcome)


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> str:
    """One run of l2rw has collapsed."""
    return made(tmp_path_factory.mktemp("one"), lambda s: (s["repeat"], s["index"]) == (0, 0))


@pytest.fixture(scope="module")
def every(tmp_path_factory) -> str:
    """Every run of l2rw has."""
    return made(tmp_path_factory.mktemp("every"), lambda s: True)


def test_it_is_a_row_of_the_tables_with_its_signs(one):
    report = study_report(one)
    table = pd.read_csv(io.StringIO(trials_csv(report.trials)), keep_default_na=False)
    assert set(table.status) == {"completed"}
    assert sorted(table.collapse) == [*[""] * 7, WORDS]
    shown = trials_for_page(report.ledger, report.study_state)["trials"]
    [lost] = [trial for trial in shown if trial["status"] == "collapsed"]
    assert lost["arm"] == "l2rw" and lost["collapse"] == WORDS
    assert {row["arm"].text: row["lost"].text for row in rows(report.results)} == {
        "ce": "0 / 0 / 0",
        "l2rw": "1 / 0 / 0",
    }


def test_it_is_warned_of_in_the_answer_and_on_the_page(one):
    report = study_report(one)
    [some] = report.results["answer"]["warnings"]
    assert some["text"] == f"1 of 4 final runs of l2rw collapsed: {WORDS}."
    assert some["text"] in report.glance[-1].text and report.glance[-1].alarm


def test_it_is_counted_while_the_study_runs(one):
    counts = {arm["arm"]: arm["collapsed"] for arm in live_view(*load_study_state(one))["arms"]}
    assert counts == {"ce": 0, "l2rw": 1}


def test_the_best_run_is_another_one(one, capsys):
    best = load_study_state(one)[1].best_run("l2rw")
    assert best.val < 0.99 and not best.collapsed
    show_best(one, "l2rw")
    assert json.loads(capsys.readouterr().out)["collapse"] == {}


def test_where_there_is_no_other_it_is_named_as_what_it_is(every, capsys):
    show_best(every, "l2rw")
    shown = capsys.readouterr()
    assert json.loads(shown.out)["collapse"] == SIGNS
    assert shown.err == f"warning: every final run of l2rw has collapsed: {WORDS}\n"


def test_an_arm_of_which_all_runs_have_is_not_the_best_whatever_its_val(every):
    assert load_study_state(every)[1].best_run().arm == "ce"


def test_suspects_ask_the_models_that_are_left(one, every, monkeypatch):
    ledger, state = load_study_state(one)
    asked = []

    def predict(ledger, study_state, finals):
        asked.append(len(finals))
        raise UserError("enough")

    monkeypatch.setattr("pipelines.suspects.ranking.predict_repeats", predict)
    monkeypatch.setitem(state.document, "fingerprint", None)
    monkeypatch.setattr(
        "pipelines.suspects.ranking.load_dataset",
        lambda data: type("", (), {"fingerprint": None}),
    )
    with pytest.raises(UserError, match="enough"):
        find_suspects(ledger, state, "l2rw")
    assert asked == [3]


def test_a_run_at_wandb_says_so_in_its_summary(one):
    _, state = load_study_state(one)
    results = [t.result for t in state.trials.values() if t.result and t.result["collapse"]]
    missing = {"selected_epoch": None, "weights_auroc": None}
    [summary] = [tracked_summary({**missing, **result}) for result in results]
    assert summary["collapse"] == WORDS
    healthy = next(t.result for t in state.trials.values() if t.result and not t.result["collapse"])
    assert "collapse" not in tracked_summary({**missing, **healthy})

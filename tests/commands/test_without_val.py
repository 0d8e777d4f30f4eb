"""A study without a val split runs and is reported; what val would choose is refused by name."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.commands.best import show_best
from pipelines.commands.launch import Options, launch
from pipelines.commands.prune import prune
from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.ledger.ledger import Ledger
from pipelines.report.pages import write_report
from pipelines.report.study_state import load_study_state
from pipelines.study.protocol import Protocol, Splits
from pipelines.study.study_file import parse_study
from pipelines.suspects.ranking import find_suspects
from pipelines.training.passes import passes_of
from tests.conftest import DIGITS

PROTOCOL = DIGITS | {"splits": {"meta": 50, "val": 0, "test": 1400}}


def study_of(*arms, **protocol):
    request = {"arms": [*arms], "repeats": 1, "seeds": 1}
    return parse_study({"name": "s", "protocol": PROTOCOL | protocol, "request": request}, "s")


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    where = str(tmp_path_factory.mktemp("study"))
    options = Options(where, "inline", "disabled", "cpu")
    launch(study_of("ce", "l2rw", "clean_only"), options, Console(file=io.StringIO()))
    return where


def test_what_val_would_have_had_is_trained_on():
    splits = {name: Protocol.model_validate(DIGITS | {"splits": PROTOCOL["splits"] | {"val": n}})
              for name, n in (("with", 50), ("without", 0))}  # fmt: skip
    sizes = {name: prepare(protocol, 1).sizes for name, protocol in splits.items()}
    assert sizes["without"] == sizes["with"] | {"val": 0, "train": sizes["with"]["train"] + 50}


def test_the_test_split_is_that_of_a_study_with_val():
    with_val, without = (
        prepare(Protocol(splits=Splits(meta=50, val=n, test=500)), 1) for n in (50, 0)
    )
    assert with_val.test.index.equal(without.test.index)
    assert without.description["noise"]["measured"]["val"] is None


@pytest.mark.slow
def test_a_run_has_a_test_score_and_none_on_val(storage):
    _, study_state = load_study_state(storage)
    study = study_state.study
    for trial in study_state.trials.values():
        result = trial.result
        assert result is not None
        assert result["val"] is None and result["selected_epoch"] is None
        score = result["held_out"]["score"]
        assert score["last"] == score["selected"] > 0
        task = prepare(study.protocol, trial.spec["data_seed"])
        assert result["passes"] == passes_of(study.arm(trial.spec["arm"]), {}, study, task)
    assert {record.clean_select for record in study_state.records} == {0}


@pytest.mark.slow
def test_its_answer_says_that_nothing_chooses(storage):
    results = load_study_state(storage)[1].results()
    assert [line["text"] for line in results["answer"]["lines"]] == [
        "Nothing chooses among the arms: none has a score on val. Their test scores are in the "
        "table of arms.",
        "No arm is tuned in this study.",
        "No self-tuning arm was chosen: none has a score on val.",
    ]
    assert results["headline"]["sentences"] == [
        "No self-tuning arm has a score on val to be chosen by: there is no answer."
    ]
    assert all(arm["test"]["last"]["n"] == 1 for arm in results["arms"].values())
    assert [pair["control"] for pair in results["controls"]] == ["clean_only"]


@pytest.mark.slow
def test_its_report_is_whole(storage):
    *_, page = write_report(storage)
    text = Path(page).read_text(encoding="utf-8")
    assert "50 meta (clean), no val, 1,400 test" in text and "none, no arm is tuned" in text


@pytest.mark.slow
def test_what_val_would_choose_is_refused_by_name(storage):
    for arm in (None, "ce"):
        with pytest.raises(UserError, match=r"splits\.val = 0 has no examples for one"):
            show_best(storage, arm)
    ledger, study_state = load_study_state(storage)
    with pytest.raises(UserError, match=r"splits\.val = 0 .*name one: --arm NAME"):
        find_suspects(ledger, study_state)
    assert find_suspects(ledger, study_state, "ce").arm == "ce"


@pytest.mark.slow
def test_pruning_keeps_models_among_which_nothing_chooses(storage):
    before = [f.path for f in Ledger.open(storage).storage.files("trials")]
    prune(storage, models=True)
    assert [f.path for f in Ledger.open(storage).storage.files("trials")] == before


@pytest.mark.parametrize(
    ("arms", "protocol", "message"),
    [
        (["gce"], {}, r"arm 'gce' is tuned: splits\.val = 0 has no examples to select"),
        (["clean_only_all"], {}, r"arm 'clean_only_all': pool = 'meta\+val': splits\.val = 0"),
        (["ce"], {"epoch": "selected"}, r"epoch = 'selected': splits\.val = 0"),
        (["ce"], {"splits": {"val": 0, "val_labels": "corrupted"}}, "val = 0 has no labels"),
        (["ce"], {"splits": {"val": -1}}, "greater than or equal to 0"),
    ],
)
def test_a_study_that_needs_val_is_refused(arms, protocol, message):
    with pytest.raises(UserError, match=message) as caught:
        study_of(*arms, **protocol)
    assert "\n" not in str(caught.value)


def test_an_axis_may_not_take_val_from_a_tuned_arm():
    raw = {"arms": ["gce"], "axes": {"splits.val": [0]}}
    with pytest.raises(UserError, match="arm 'gce' is tuned"):
        parse_study({"name": "s", "protocol": DIGITS, "request": raw}, "s")
    parse_study({"name": "s", "protocol": DIGITS, "request": raw | {"arms": ["ce"]}}, "s")

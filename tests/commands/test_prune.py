"""Prune keeps what the next launch, `best` and the report need, and nothing else."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.commands.best import show_best
from pipelines.commands.launch import Options, launch
from pipelines.commands.prune import prune
from pipelines.documents import Json
from pipelines.errors import UserError
from pipelines.ledger.ledger import Ledger
from pipelines.report.study_state import load_study_state
from tests.conftest import small_study
from tests.support.synthetic_ledger import completed, write_study


@pytest.fixture
def study(tmp_path: Path) -> str:
    storage = str(tmp_path)
    options = Options(storage, "inline", "disabled", "cpu")
    launch(small_study(arms=("ce", "l2rw"), seeds=2), options, Console(file=io.StringIO()))
    return storage


def names(storage: str, ending: str) -> list[str]:
    files = Ledger.open(storage).storage.files("trials")
    return sorted(file.path for file in files if file.path.endswith(ending))


def test_an_unfinished_trial_keeps_its_newest_checkpoint_a_finished_one_none(study: str):
    ledger = Ledger.open(study)
    finished = next(iter(ledger.trials()))
    spec = load_study_state(study)[1].trials[finished].spec
    ledger.add_trial(spec | {"key": "ce-0"})
    for key in ("ce-0", finished):
        attempt = ledger.attempt(key, ledger.new_attempt(key))
        attempt.save_checkpoint(b"nine", 9)
        attempt.save_checkpoint(b"ten", 10)
    assert prune(study, models=False) == (3, len(b"ninenineten"))
    assert ledger.attempt("ce-0", 2).load_newest_checkpoint() == (10, b"ten")
    assert len(names(study, ".pt")) - 1 == len(
        names(study, "model.pt") + names(study, "examples.pt")
    )


def test_models_go_but_for_the_best_run_of_each_arm(study: str):
    assert len(names(study, "model.pt")) == 8
    results = load_study_state(study)[1].results()
    prune(study, models=True)
    kept = [path.split("/")[1] for path in names(study, "model.pt")]
    assert [key.split("-")[0] for key in kept] == ["ce", "l2rw"]
    _, study_state = load_study_state(study)
    for key in kept:
        [mine] = [r for r in study_state.records if r.key == key]
        assert mine.val == max(r.val for r in study_state.records if r.arm == mine.arm)
    assert study_state.results() == results


def tied(spec: Json) -> tuple[Json, list[Json]]:
    """Two runs of each arm share the highest val; the one that is planned first is in repeat 1."""
    result, history = completed(spec)
    is_best = (spec["repeat"], spec["index"]) in ((0, 1), (1, 0))
    val = 0.9 if is_best and spec["role"] == "final" else 0.8
    return result | {"attempt": 1, "val": {"last": val, "selected": val}}, history


@pytest.mark.parametrize("arm", ["ce", "gce", "l2rw", None])
def test_of_several_best_runs_the_one_that_best_names_keeps_its_model(arm, tmp_path, capsys):
    storage = write_study(tmp_path, small_study(seeds=2), tied)
    for key, trial in Ledger.open(storage).trials().items():
        if trial.spec["role"] == "final":
            (tmp_path / "trials" / key / "attempts" / "1" / "model.pt").write_bytes(b"weights")
    prune(storage, models=True)
    show_best(storage, arm)
    assert Path(json.loads(capsys.readouterr().out)["checkpoint"]).read_bytes() == b"weights"
    assert len(names(storage, "model.pt")) == 3  # one of each arm


def test_a_running_study_is_left_alone(study: str):
    with Ledger.open(study).acquire_lease(), pytest.raises(UserError, match="stop it first"):
        prune(study, models=False)

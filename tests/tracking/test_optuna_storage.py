"""A study as an Optuna storage: what Optuna itself reads back is what the ledger holds."""

import optuna
import pytest
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from pipelines.errors import UserError
from pipelines.ledger.ledger import Ledger
from pipelines.report.study_state import load_study_state
from pipelines.tracking.optuna_storage import write_optuna_storage
from tests.conftest import small_study
from tests.support.synthetic_ledger import EPOCHS, completed, diverged, write_study

ARMS = ("ce", "gce", "clean_only_all")


def outcome(spec):
    """In the second repeat the first random trial fails, and the second one diverges."""
    if spec["arm"] == "clean_only_all":
        result, history = completed(spec)
        return result | {"val": None}, history
    if (spec["role"], spec["repeat"]) == ("search", 1) and spec["index"]:
        return RuntimeError("broken") if spec["index"] == 1 else diverged(spec)
    return completed(spec)


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> str:
    return write_study(tmp_path_factory.mktemp("study"), small_study(ARMS, seeds=2), outcome)


@pytest.fixture(scope="module")
def journal(storage, tmp_path_factory) -> JournalStorage:
    path, studies = write_optuna_storage(storage, tmp_path_factory.mktemp("optuna") / "x.log")
    assert studies == 4  # of two arms and two repeats
    return JournalStorage(JournalFileBackend(str(path)))


def test_there_is_a_study_for_every_arm_and_repeat_that_has_scores(journal):
    names = optuna.get_all_study_names(journal)
    assert names == [f"small / {arm} / repeat {r}" for r in (0, 1) for arm in ("ce", "gce")]
    study = optuna.load_study(study_name="small / gce / repeat 1", storage=journal)
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    described = {name: study.user_attrs[name] for name in ("arm", "repeat", "kind", "metric")}
    assert described == {"arm": "gce", "repeat": 1, "kind": "tuned loss", "metric": "accuracy"}


def test_a_search_has_its_trials_with_val_of_every_epoch(storage, journal):
    study = optuna.load_study(study_name="small / gce / repeat 0", storage=journal)
    ledger, state = load_study_state(storage)
    records = [r for r in state.records if (r.arm, r.role, r.repeat) == ("gce", "search", 0)]
    retrained = {r.index: r.test["last"] for r in state.records if (r.arm, r.role, r.repeat) ==
                 ("gce", "curve", 0)}  # fmt: skip
    assert [t.user_attrs["key"] for t in study.trials] == [r.key for r in records]
    for trial, record in zip(study.trials, records, strict=True):
        [rows] = ledger.histories([state.trials[record.key]]).values()
        assert (trial.state, trial.value) == (TrialState.COMPLETE, record.val)
        assert trial.params == record.config
        assert trial.intermediate_values == {r["epoch"]: r["val/accuracy"] for r in rows}
        assert len(trial.intermediate_values) == EPOCHS
        assert trial.user_attrs["passes"] == record.passes
        assert trial.user_attrs["role"] == "search"
    plain = study.trials[1]  # neither the default nor selected: one run anew
    if study.best_trial.number != 1:
        assert plain.user_attrs["test_retrained"] == pytest.approx(retrained[1])
    chosen = max(records, key=lambda r: r.val)
    assert study.best_trial.user_attrs["key"] == chosen.key


def test_states_are_those_of_the_trials(journal):
    study = optuna.load_study(study_name="small / gce / repeat 1", storage=journal)
    states = [(t.user_attrs["status"], t.state.name, t.value) for t in study.trials]
    assert states[1:] == [("failed", "FAIL", None), ("diverged", "COMPLETE", 0.0)]


def test_an_arm_without_search_has_its_final_runs(journal):
    study = optuna.load_study(study_name="small / ce / repeat 0", storage=journal)
    assert [t.user_attrs["role"] for t in study.trials] == ["final"] * 2
    assert all(not t.params and "test_retrained" not in t.user_attrs for t in study.trials)


def test_a_study_that_runs_shows_what_is_planned_and_what_has_begun(tmp_path):
    storage = write_study(tmp_path, small_study(("gce",), repeats=1), limit=1)
    ledger = Ledger.open(storage)
    planner = load_study_state(storage)[1].planner
    for begun in (True, False):
        spec = planner.ask()
        assert spec
        ledger.add_trial(spec)
        if begun:
            ledger.new_attempt(spec["key"])
    path, _ = write_optuna_storage(storage, tmp_path / "x.journal")
    opened = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.load_study(study_name="small / gce / repeat 0", storage=opened)
    assert [t.state.name for t in study.trials] == ["COMPLETE", "RUNNING", "WAITING"]


def test_by_default_it_is_sqlite_in_the_studys_directory_and_written_anew(tmp_path):
    storage = write_study(tmp_path, small_study(("ce",), repeats=1))
    for _ in range(2):
        path, studies = write_optuna_storage(storage)
        assert (path, studies) == (tmp_path / "optuna.db", 1)
    opened = RDBStorage(f"sqlite:///{path}")
    try:
        study = optuna.load_study(study_name="small / ce / repeat 0", storage=opened)
        assert len(study.trials) == 1
    finally:
        opened.remove_session()
        opened.engine.dispose()
    assert load_study_state(storage)[1].results()["missing"] == []  # it disturbs no ledger


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.txt", "its name must end in .db, .sqlite, .sqlite3 (SQLite), or in .journal or .log"),
        ("there.db", "it exists; give a new name"),
        ("no/x.db", "there is no directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(tmp_path, name, message):
    (tmp_path / "there.db").touch()
    with pytest.raises(UserError) as refused:
        write_optuna_storage(str(tmp_path), tmp_path / name)
    assert message in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["there.db"]


def test_an_object_store_needs_a_file():
    with pytest.raises(UserError, match="is no directory: give a FILE"):
        write_optuna_storage("s3://bucket/study")

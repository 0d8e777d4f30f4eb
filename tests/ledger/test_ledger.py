"""The ledger: the study, and the life of a trial."""

import socket
from pathlib import Path

import pytest

from pipelines.documents import sha256
from pipelines.errors import UserError
from pipelines.ledger.ledger import Ledger
from tests.ledger.conftest import KEY, RESULT, ROWS, SPEC, recorded, started, state


def test_the_protocol_is_written_once_and_the_request_at_each_launch(ledger: Ledger):
    assert ledger.study() is None and ledger.request() is None
    assert ledger.create_study({"hash": "a"}) == {"hash": "a"}
    assert ledger.create_study({"hash": "b"}) == {"hash": "a"} == ledger.study()
    for request in ({"trials": 1}, {"trials": 2}):
        ledger.write_request(request)
        assert ledger.request() == request


def test_a_place_without_a_study_is_refused_unless_it_is_to_be_made(location: str):
    with pytest.raises(UserError, match=r"\A[^\n]*'[^']+'[^\n]*\Z"):
        Ledger.open(location, create=False)
    Ledger.open(location).create_study({})
    Ledger.open(location, create=False)


@pytest.mark.parametrize("place", ["file/study", "nonsense://bucket/study"])
def test_a_place_that_cannot_be_used_is_a_users_mistake(tmp_path: Path, monkeypatch, place: str):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")
    with pytest.raises(UserError, match=rf"\A[^\n]*'{place}' cannot be used[^\n]*\Z"):
        Ledger.open(place)


def test_a_bucket_that_does_not_exist_is_a_users_mistake(s3: dict[str, str], monkeypatch):
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"\A[^\n]*'s3://nowhere/study' cannot be used[^\n]*\Z"):
        Ledger.open("s3://nowhere/study")


def test_a_trial_is_planned_then_started_then_failed_then_started_again_and_completed(
    ledger: Ledger,
):
    assert ledger.trial(KEY) is None
    assert ledger.add_trial(SPEC)
    assert state(ledger) == "planned"
    attempt = started(ledger)
    assert state(ledger) == "started"
    attempt.fail(RuntimeError("out of memory"), "resources")
    assert state(ledger) == "failed"
    attempt = started(ledger)
    assert state(ledger) == "started"
    attempt.finish(RESULT, ROWS)
    assert state(ledger) == "completed"
    trial = ledger.trial(KEY)
    assert trial and (trial.spec, trial.result, trial.attempts) == (
        SPEC,
        recorded(attempt=2),
        2,
    )
    assert ledger.trials() == {KEY: trial}
    assert ledger.histories([trial]) == {KEY: ROWS}


def test_a_diverged_trial_has_a_result(ledger: Ledger):
    started(ledger).finish({"status": "diverged", "val": 0.0}, ROWS)
    assert state(ledger) == "diverged"


def test_a_failure_says_what_and_where(ledger: Ledger):
    attempt = started(ledger)
    try:
        int("seven")
    except ValueError as error:
        attempt.fail(error, "user")
    trial = ledger.trial(KEY)
    traceback = ledger.storage.read(f"{attempt.folder}/traceback.txt")
    assert traceback and b"in test_a_failure_says_what_and_where" in traceback
    assert trial and trial.error == {
        "type": "ValueError",
        "message": "invalid literal for int() with base 10: 'seven'",
        "class": "user",
        "host": socket.gethostname(),
        "files": {"traceback.txt": sha256(traceback)},
    }


def test_a_spec_is_written_once(ledger: Ledger):
    assert ledger.add_trial(SPEC)
    assert not ledger.add_trial(SPEC | {"role": "default"})
    trial = ledger.trial(KEY)
    assert trial and trial.spec == SPEC


@pytest.mark.parametrize("key", ["", "../gce", "gce/0", "GCE-0", "gce-", "gce-0\n", ".tmp"])
def test_no_key_leads_out_of_the_directory(tmp_path: Path, key: str):
    ledger = Ledger.open(str(tmp_path))
    with pytest.raises(ValueError, match="key"):
        ledger.add_trial(SPEC | {"key": key})
    assert ledger.trials() == {}


def test_numbers_that_json_lacks_survive(ledger: Ledger):
    rows = [{"epoch": 1, "train/loss": float("inf")}]
    started(ledger).finish(RESULT, rows)
    assert ledger.histories(ledger.trials().values()) == {KEY: rows}


def test_foreign_files_are_ignored(tmp_path: Path):
    ledger = Ledger.open(str(tmp_path))
    ledger.add_trial(SPEC)
    expected = ledger.trials()
    for name in (
        ".DS_Store",
        f"{KEY}/notes.txt",
        f"{KEY}/attempts/last/error.json",
        "Old/spec.json",
    ):
        ledger.storage.replace(f"trials/{name}", b"{}")
    assert ledger.trials() == expected

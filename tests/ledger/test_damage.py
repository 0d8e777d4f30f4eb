"""Damage: a document that is not as it was written counts as not written, and is named."""

import json
from pathlib import Path

import pytest

from pipelines.documents import decode, encode
from pipelines.errors import UserError
from pipelines.ledger.attempt import LedgerConflict
from pipelines.ledger.damage import AGAIN, ANEW, EARLIER, LOST, RETRY, damage_lines
from pipelines.ledger.ledger import Ledger
from tests.ledger.conftest import KEY, RESULT, ROWS, SPEC, started, state


@pytest.mark.parametrize("damage", [b"", b'{"key": "gce-0f', b"\0" * 40, b"[]"])
def test_a_damaged_spec_never_happened(ledger: Ledger, damage: bytes):
    ledger.storage.replace(f"trials/{KEY}/spec.json", damage)
    assert ledger.trials() == {} and ledger.trial(KEY) is None
    assert ledger.add_trial(SPEC)
    assert state(ledger) == "planned"


@pytest.mark.parametrize("damage", [b"", b'{"val": 0.', b"\0" * 40])
def test_a_damaged_result_is_not_finished_and_is_replaced(ledger: Ledger, damage: bytes):
    attempt = started(ledger)
    ledger.storage.replace(f"trials/{KEY}/result.json", damage)
    assert state(ledger) == "started"
    attempt.finish(RESULT, ROWS)
    assert state(ledger) == "completed"


def flip(ledger: Ledger, name: str, position: int, bit: int = 1) -> bytes:
    """Flip a bit of a trial's file; the file as it was."""
    path = f"trials/{KEY}/{name}"
    data = ledger.storage.read(path)
    assert data is not None
    changed = bytearray(data)
    changed[position] ^= 1 << bit
    ledger.storage.replace(path, bytes(changed))
    return data


def finished(ledger: Ledger) -> None:
    ledger.create_study({"name": "study"})
    ledger.write_request({"trials": 1})
    attempt = started(ledger)
    attempt.write("model.pt", b"weights")
    attempt.finish(RESULT, ROWS)


@pytest.mark.parametrize("name", ["spec.json", "result.json"])
def test_no_flipped_bit_of_a_document_is_taken_for_truth(tmp_path: Path, name: str):
    """Whichever byte: the content is as it was, or the document counts as not written."""
    ledger = Ledger.open(str(tmp_path))
    finished(ledger)
    whole = ledger.trial(KEY)
    assert whole is not None
    size = len(ledger.storage.read(f"trials/{KEY}/{name}") or b"")
    unwritten = 0
    for position in range(size):
        data = flip(ledger, name, position, bit=position % 7)
        contents = ledger.contents()
        trial = contents.trials.get(KEY)
        gone = trial is None or trial.result is None
        assert gone == (name in contents.damaged.get(KEY, {}))
        unwritten += gone
        if trial is not None:
            assert trial.spec == whole.spec
            assert trial.result in (None, whole.result)
        ledger.storage.replace(f"trials/{KEY}/{name}", data)
    assert unwritten > 0.8 * size  # the rest is white space, and the digest's own name


def test_a_flipped_bit_in_a_history_is_named_and_its_rows_are_not_used(ledger: Ledger):
    finished(ledger)
    flip(ledger, "attempts/1/history.json", -6)
    contents = ledger.contents()
    assert contents.damaged == {KEY: {"attempts/1/history.json": RETRY}}
    assert contents.trials[KEY].state == "completed"
    assert ledger.histories(contents.trials.values()) == {}


@pytest.mark.parametrize("name", ["attempts/1/history.json", "attempts/1/model.pt"])
def test_a_file_beside_the_result_that_is_gone_is_named(ledger: Ledger, name: str):
    finished(ledger)
    ledger.storage.delete(f"trials/{KEY}/{name}")
    assert ledger.contents().damaged == {KEY: {name: RETRY}}


def test_a_model_that_was_pruned_is_not_missed(ledger: Ledger):
    finished(ledger)
    ledger.storage.delete(f"trials/{KEY}/attempts/1/model.pt")
    ledger.storage.replace(f"trials/{KEY}/attempts/1/pruned.json", b"{}")
    assert ledger.contents().damaged == {}


def test_a_model_that_has_changed_since_it_was_indexed_is_read_and_named(ledger: Ledger):
    finished(ledger)
    ledger.index(ledger.trials().values())
    assert ledger.contents().damaged == {}
    data = flip(ledger, "attempts/1/model.pt", 0)
    assert ledger.contents().damaged == {KEY: {"attempts/1/model.pt": RETRY}}
    ledger.storage.replace(f"trials/{KEY}/attempts/1/model.pt", data)
    assert ledger.contents().damaged == {}  # written again, and as it was


def test_one_that_is_not_yet_indexed_is_found_where_all_is_checked(ledger: Ledger):
    finished(ledger)
    flip(ledger, "attempts/1/model.pt", 0)
    assert ledger.contents("changed").damaged == {}
    assert ledger.contents("all").damaged == {KEY: {"attempts/1/model.pt": RETRY}}


def test_documents_of_version_0_1_have_no_digest_and_are_believed(ledger: Ledger):
    finished(ledger)
    for name, document in (("spec.json", SPEC), ("result.json", RESULT | {"attempt": 1})):
        ledger.storage.replace(f"trials/{KEY}/{name}", json.dumps(document).encode())
    contents = ledger.contents("all")
    assert contents.damaged == {} and contents.trials[KEY].state == "completed"
    ledger.storage.delete(f"trials/{KEY}/attempts/1/history.json")
    assert ledger.contents().damaged == {KEY: {"attempts/1/history.json": RETRY}}


def test_the_order_of_a_documents_keys_is_no_damage():
    document = {"z": 1, "a": {"c": [1.5, None], "b": "x"}}
    stored = json.loads(encode(document, "study.json"))
    assert decode(json.dumps(stored, sort_keys=True).encode(), "study.json") == document
    assert decode(json.dumps(stored | {"z": 2}, sort_keys=True).encode(), "study.json") is None


OTHER = "gce-77aa"


def two_finished(ledger: Ledger) -> None:
    """A study of two trials with results of their own."""
    finished(ledger)
    attempt = started(ledger, OTHER)
    attempt.write("model.pt", b"other weights")
    attempt.finish(RESULT | {"val": 0.9}, [{"epoch": 1, "val/accuracy": 0.9}])


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("spec.json", ANEW),
        ("result.json", AGAIN),
        ("attempts/1/history.json", RETRY),
        ("attempts/1/model.pt", RETRY),
        ("attempts/1/started.json", LOST),
    ],
)
def test_a_file_in_the_place_of_another_trials_is_damaged(ledger: Ledger, name: str, remedy: str):
    two_finished(ledger)
    data = ledger.storage.read(f"trials/{OTHER}/{name}")
    assert data is not None
    ledger.storage.replace(f"trials/{KEY}/{name}", data)
    assert ledger.contents("all").damaged == {KEY: {name: remedy}}


def test_a_spec_or_a_result_that_is_gone_is_missed_by_what_came_after_it(ledger: Ledger):
    finished(ledger)
    assert started(ledger, OTHER) and ledger.contents().damaged == {}  # running, or interrupted
    ledger.storage.delete(f"trials/{KEY}/result.json")
    assert ledger.contents().damaged == {KEY: {"result.json": AGAIN}}
    ledger.storage.delete(f"trials/{KEY}/spec.json")
    assert ledger.contents().damaged == {KEY: {"spec.json": ANEW, "result.json": AGAIN}}


def test_a_trial_that_is_gone_is_missed_by_the_index(ledger: Ledger):
    two_finished(ledger)
    ledger.index(ledger.trials().values())
    for file in ledger.storage.files(f"trials/{KEY}"):
        ledger.storage.delete(file.path)
    assert ledger.contents().damaged == {KEY: {"spec.json": ANEW, "result.json": AGAIN}}


def test_a_result_that_was_set_aside_is_not_missed(ledger: Ledger):
    finished(ledger)
    ledger.index(ledger.trials().values())
    ledger.set_result_aside(KEY)
    assert state(ledger) == "started" and ledger.contents("all").damaged == {}


def failed(ledger: Ledger, error: Exception) -> None:
    ledger.create_study({"name": "study"})
    ledger.write_request({"trials": 1})
    started(ledger).fail(error, "data")
    assert ledger.contents("all").damaged == {}


def test_an_error_that_is_damaged_counts_as_not_written_and_is_named(ledger: Ledger):
    failed(ledger, OSError("away"))
    flip(ledger, "attempts/1/error.json", 20)
    assert state(ledger) == "started"
    assert ledger.contents().damaged == {KEY: {"attempts/1/error.json": AGAIN}}


@pytest.mark.parametrize(
    ("error", "name"), [(OSError("away"), "error"), (LedgerConflict("other"), "conflict")]
)
def test_what_an_attempt_said_of_its_end_is_missed(ledger: Ledger, error: Exception, name: str):
    failed(ledger, error)
    flip(ledger, "attempts/1/traceback.txt", 3)
    assert ledger.contents("all").damaged == {KEY: {"attempts/1/traceback.txt": LOST}}
    ledger.storage.delete(f"trials/{KEY}/attempts/1/{name}.json")
    gone = "attempts/1/error.json or attempts/1/conflict.json"
    assert ledger.contents().damaged == {KEY: {gone: LOST}}


def test_damaged_checkpoints_are_found_where_all_is_checked(ledger: Ledger):
    failed(ledger, OSError("away"))
    attempt = started(ledger)
    attempt.save_checkpoint(b"state", 3)
    attempt.save_checkpoint(b"later", 4)
    [name] = [f.path for f in ledger.storage.files(f"trials/{KEY}") if "checkpoint-4" in f.path]
    name = name.removeprefix(f"trials/{KEY}/")
    flip(ledger, name, 0)
    assert ledger.contents("all").damaged == {KEY: {name: EARLIER}}


@pytest.mark.parametrize("name", ["study.json", "request.json", "index/1.jsonl"])
def test_the_studys_own_files_are_named(ledger: Ledger, name: str):
    finished(ledger)
    ledger.index(ledger.trials().values())
    data = ledger.storage.read(name)
    assert data is not None
    ledger.storage.replace(name, data[:-9])
    assert ledger.contents().damaged == {"study": {name: ANEW}}
    assert damage_lines({"study": {name: ANEW}}) == [f"{name} is damaged or gone: {ANEW}"]


def test_a_study_without_its_own_file_is_told_from_no_study(ledger: Ledger, location: str):
    with pytest.raises(UserError, match="holds no study: launch one there first"):
        Ledger.open(location, create=False)
    finished(ledger)
    ledger.storage.replace("study.json", b"{}")
    with pytest.raises(UserError, match=r"study\.json is damaged or gone; launch the study again"):
        Ledger.open(location, create=False)


def test_a_finished_trials_history_is_that_of_its_result(ledger: Ledger):
    finished(ledger)
    with pytest.raises(LedgerConflict):
        started(ledger).finish(RESULT | {"val": 0.1}, [{"epoch": 1, "val/accuracy": 0.1}])
    trial = ledger.trial(KEY)
    assert trial and ledger.histories([trial]) == {KEY: ROWS}

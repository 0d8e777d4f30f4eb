"""The ledger: each file is there once and whole, or not at all, whatever is killed and when."""

import errno
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pipelines.ledger.storage
from pipelines.errors import UserError
from pipelines.ledger.index import read_index
from pipelines.ledger.ledger import Ledger, LedgerConflict
from tests.support.object_store import BUCKET, object_store

KEY = "gce-0f3a"
SPEC = {"key": KEY, "arm": "gce", "config": {"q": 0.7}}
RESULT = {"status": "completed", "val": 0.5, "cost": {"seconds": 1.0}}
ROWS = [{"epoch": 1, "val/accuracy": 0.5}]


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    with object_store() as environment:
        yield environment


@pytest.fixture(params=["local", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch) -> str:
    if request.param == "local":
        return str(tmp_path / "study")
    for name, value in request.getfixturevalue("s3").items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def ledger(location: str) -> Ledger:
    return Ledger.open(location)


def started(ledger: Ledger, key: str = KEY):
    """A new attempt at a trial that need not exist yet."""
    ledger.add_trial(SPEC | {"key": key})
    return ledger.attempt(key, ledger.new_attempt(key))


def state(ledger: Ledger) -> str:
    trial = ledger.trial(KEY)
    assert trial is not None
    return trial.state


# The study


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


# A trial's life


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
    assert trial and (trial.spec, trial.result, trial.attempts) == (SPEC, RESULT, 2)
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
    assert trial and trial.error == {
        "type": "ValueError",
        "message": "invalid literal for int() with base 10: 'seven'",
        "class": "user",
    }
    traceback = ledger.storage.read(f"{attempt.folder}/traceback.txt")
    assert traceback and b"in test_a_failure_says_what_and_where" in traceback


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


# Checkpoints


def test_the_furthest_checkpoint_of_all_attempts_is_found(ledger: Ledger):
    first = started(ledger)
    assert first.load_newest_checkpoint() is None
    first.save_checkpoint(b"nine", 9)
    first.save_checkpoint(b"ten", 10)
    second = started(ledger)
    assert second.load_newest_checkpoint() == (10, b"ten")
    second.save_checkpoint(b"eleven", 11)
    assert started(ledger).load_newest_checkpoint() == (11, b"eleven")


def test_two_checkpoints_are_kept_and_none_after_the_result(ledger: Ledger):
    attempt = started(ledger)
    for step in range(5):
        attempt.save_checkpoint(b"%d" % step, step)
    kept = [f.path for f in ledger.storage.files("trials") if "checkpoint" in f.path]
    assert sorted(int(path.split("checkpoint-")[1].split("-")[0]) for path in kept) == [3, 4]
    started(ledger).finish(RESULT, ROWS)
    assert not [f for f in ledger.storage.files("trials") if "checkpoint" in f.path]


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda _: b"", lambda d: d[::-1]])
def test_a_damaged_checkpoint_is_skipped(ledger: Ledger, damage: Callable[[bytes], bytes]):
    attempt = started(ledger)
    attempt.save_checkpoint(b"intact", 1)
    attempt.save_checkpoint(b"to be damaged", 2)
    [newest] = [f.path for f in ledger.storage.files("trials") if "checkpoint-2" in f.path]
    ledger.storage.replace(newest, damage(b"to be damaged"))
    assert started(ledger).load_newest_checkpoint() == (1, b"intact")


def test_checkpoints_of_earlier_attempts_go_once_there_are_newer_ones(ledger: Ledger):
    first = started(ledger)
    first.save_checkpoint(b"1", 1)
    first.save_checkpoint(b"2", 2)
    second = started(ledger)
    second.load_newest_checkpoint()
    second.save_checkpoint(b"3", 3)
    second.save_checkpoint(b"4", 4)
    kept = [f.path for f in ledger.storage.files("trials") if "checkpoint" in f.path]
    assert len(kept) == 2 and all(path.startswith(second.folder) for path in kept)


# Doubled work


def test_an_equal_result_is_fine_and_the_first_one_stays(ledger: Ledger):
    zombie, successor = started(ledger), started(ledger)
    successor.finish(RESULT, ROWS)
    differing = {"attempt": 1, "cost": {"seconds": 9.0}, "provenance": {"host": "b"}}
    zombie.finish(RESULT | differing, ROWS)
    trial = ledger.trial(KEY)
    assert trial and trial.result == RESULT


@pytest.mark.parametrize("other", [{"val": 0.6}, {"extra": 1}])
def test_a_different_result_is_a_conflict_and_the_first_one_stays(ledger: Ledger, other: dict):
    started(ledger).finish(RESULT, ROWS)
    with pytest.raises(LedgerConflict, match=f"{KEY}.*attempt 2.*{next(iter(other))}"):
        started(ledger).finish(RESULT | other, ROWS)
    trial = ledger.trial(KEY)
    assert trial and trial.result == RESULT


def test_a_result_that_is_not_a_number_equals_itself(ledger: Ledger):
    for _ in range(2):
        started(ledger).finish(RESULT | {"val": float("nan")}, ROWS)


def test_a_zombies_writes_leave_its_successor_alone(ledger: Ledger):
    zombie = started(ledger)
    zombie.save_checkpoint(b"1", 1)
    successor = started(ledger)
    successor.save_checkpoint(b"2", 2)
    for step in (2, 3, 4):
        zombie.save_checkpoint(b"zombie", step)
    zombie.fail(RuntimeError("killed at last"), "interrupted")
    assert state(ledger) == "started"
    successor.save_checkpoint(b"5", 5)
    assert successor.load_newest_checkpoint() == (5, b"5")
    successor.finish(RESULT, ROWS)
    zombie.save_checkpoint(b"zombie", 6)
    assert state(ledger) == "completed"


def test_no_two_attempts_share_a_number(tmp_path: Path):
    ledger = Ledger.open(str(tmp_path))
    ledger.add_trial(SPEC)
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: ledger.new_attempt(KEY), range(32)))
    assert sorted(numbers) == list(range(1, 33))


RACE = """
import sys, time
from pipelines.ledger.storage import open_storage
storage = open_storage(sys.argv[1], create=False)
time.sleep(max(0.0, float(sys.argv[3]) - time.time()))
print(sum(storage.create_once(f"race/{i}", sys.argv[2].encode() * 1000) for i in range(200)))
"""


def test_of_racing_processes_one_creates_a_file_and_it_is_whole(tmp_path: Path):
    start = str(time.time() + 1.5)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, tmp_path, name, start], stdout=subprocess.PIPE, text=True
        )
        for name in "abc"
    ]
    wins = [int(racer.communicate()[0]) for racer in racers]
    written = [file.read_text() for file in (tmp_path / "race").iterdir()]
    assert sum(wins) == len(written) == 200
    assert wins == [written.count(name * 1000) for name in "abc"]


# Damage


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


def test_opening_a_storage_does_not_mind_files_that_others_finish_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    location = str(tmp_path / "study")
    Ledger.open(location)
    scan = os.scandir

    def scan_and_finish(folder) -> list[os.DirEntry[str]]:
        entries = list(scan(folder))
        for entry in entries:
            os.unlink(entry)
        return entries

    (tmp_path / "study" / ".tmp" / "half-written").touch()
    monkeypatch.setattr(pipelines.ledger.storage.os, "scandir", scan_and_finish)
    Ledger.open(location)


# The index


@pytest.fixture
def indexed(ledger: Ledger) -> Ledger:
    for number in range(3):
        started(ledger, f"gce-{number}").finish(RESULT | {"val": number}, ROWS)
    ledger.index(ledger.trials().values())
    return ledger


def reads(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that listing all trials opens."""
    opened, read = [], ledger.storage.read

    def counted(path: str) -> bytes | None:
        opened.append(path)
        return read(path)

    monkeypatch.setattr(ledger.storage, "read", counted)
    ledger.trials()
    monkeypatch.setattr(ledger.storage, "read", read)
    return sorted(opened)


def test_the_index_spares_reading_finished_trials(indexed: Ledger, monkeypatch):
    expected = indexed.trials()
    assert reads(indexed, monkeypatch) == ["index/1.jsonl"]
    indexed.storage.delete("index/1.jsonl")
    assert indexed.trials() == expected and len(reads(indexed, monkeypatch)) == 6


def test_the_index_grows_by_what_it_misses(indexed: Ledger, monkeypatch):
    indexed.index(indexed.trials().values())
    started(indexed, "gce-new").finish(RESULT, ROWS)
    indexed.index(indexed.trials().values())
    expected = indexed.trials()
    assert [len(row.key) for row in read_index(indexed.storage).values()] == [5, 5, 5, 7]
    assert reads(indexed, monkeypatch) == ["index/1.jsonl", "index/2.jsonl"]
    assert indexed.trials() == expected


def test_of_two_rows_of_a_trial_the_one_of_the_present_files_counts(indexed: Ledger, monkeypatch):
    indexed.storage.delete("trials/gce-0/result.json")
    indexed.trials()
    started(indexed, "gce-0").finish(RESULT | {"val": 7}, ROWS)
    indexed.index(indexed.trials().values())
    assert (indexed.trials()["gce-0"].result or {})["val"] == 7
    assert reads(indexed, monkeypatch) == ["index/1.jsonl", "index/2.jsonl"]


def test_trials_that_the_index_misses_are_read(indexed: Ledger, monkeypatch):
    started(indexed, "gce-new")
    assert indexed.trials()["gce-new"].state == "started"
    assert reads(indexed, monkeypatch) == ["index/1.jsonl", "trials/gce-new/spec.json"]


def test_the_index_is_not_believed_against_the_files(indexed: Ledger):
    indexed.storage.replace("trials/gce-0/result.json", json.dumps(RESULT | {"val": 9}).encode())
    indexed.storage.delete("trials/gce-1/result.json")
    indexed.storage.delete("trials/gce-2/spec.json")
    trials = indexed.trials()
    assert (trials["gce-0"].result or {})["val"] == 9
    assert trials["gce-1"].state == "started"
    assert "gce-2" not in trials


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-20], lambda d: d.replace(b"gce", b"sce"), lambda _: b""]
)
def test_a_damaged_index_is_not_used(
    indexed: Ledger, monkeypatch, damage: Callable[[bytes], bytes]
):
    expected = indexed.trials()
    indexed.storage.replace("index/1.jsonl", damage(indexed.storage.read("index/1.jsonl") or b""))
    assert indexed.trials() == expected
    indexed.index(indexed.trials().values())
    assert reads(indexed, monkeypatch) == ["index/1.jsonl", "index/2.jsonl"]


# Killed anywhere, and disks that are full


def launch(location: str) -> None:
    """What driver and worker do to one trial, from wherever the last launch was killed."""
    ledger = Ledger.open(location)
    ledger.create_study({"hash": "a"})
    ledger.write_request({"trials": 1})
    ledger.add_trial(SPEC)
    if state(ledger) != "completed":
        attempt = ledger.attempt(KEY, ledger.new_attempt(KEY))
        done, data = attempt.load_newest_checkpoint() or (0, b"")
        assert data == b"x" * done
        for step in range(done + 1, 5):
            attempt.save_checkpoint(b"x" * step, step)
        attempt.finish(RESULT, ROWS)
    ledger.index(ledger.trials().values())


class Killed(BaseException):
    """Nothing that the process would do after this happens."""


def kill_at(call: int, patch: pytest.MonkeyPatch) -> list[str]:
    """Let the process die at so many calls that change the disk; the calls, as they come."""
    calls: list[str] = []

    def dying(name: str, function: Callable):
        def counted(*args, **options):
            calls.append(name)
            if len(calls) >= call:
                raise Killed
            return function(*args, **options)

        return counted

    for name in ("fsync", "link", "replace"):
        patch.setattr(os, name, dying(name, getattr(os, name) if name != "fsync" else id))
    for name in ("unlink", "mkdir"):
        patch.setattr(Path, name, dying(name, getattr(Path, name)))
    return calls


def test_a_launch_killed_at_any_call_leaves_whole_files_and_the_next_one_completes(
    tmp_path: Path,
):
    with pytest.MonkeyPatch.context() as patch:
        calls = kill_at(sys.maxsize, patch)
        launch(str(tmp_path / "whole"))
        total = len(calls)
    assert total > 50
    for call in range(1, total + 1):
        study = tmp_path / str(call)
        with pytest.MonkeyPatch.context() as patch:
            kill_at(call, patch)
            with pytest.raises(Killed):
                launch(str(study))
        for file in study.rglob("*.json"):
            json.loads(file.read_text())
        with pytest.MonkeyPatch.context() as patch:
            kill_at(sys.maxsize, patch)
            launch(str(study))
        trial = Ledger.open(str(study)).trials()[KEY]
        assert (trial.spec, trial.result) == (SPEC, RESULT)


def test_kill_9_while_writing_loses_nothing_that_was_confirmed(tmp_path: Path):
    script = """
import sys
from pipelines.ledger.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
ledger.add_trial({"key": "gce-0f3a"})
attempt = ledger.attempt("gce-0f3a", ledger.new_attempt("gce-0f3a"))
for step in range(1, 10**6):
    attempt.save_checkpoint(b"x" * 10**6, step)
    print(step, flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    for _ in range(5):
        process.stdout.readline()
    process.kill()
    confirmed = int(("5\n" + process.stdout.read()).split()[-1])
    process.wait()
    process.stdout.close()
    ledger = Ledger.open(str(tmp_path))
    found = ledger.attempt(KEY, ledger.new_attempt(KEY)).load_newest_checkpoint()
    assert found in [(step, b"x" * 10**6) for step in (confirmed, confirmed + 1)]


def test_what_killed_processes_left_is_cleared_an_hour_later(tmp_path: Path):
    Ledger.open(str(tmp_path))
    old, new = tmp_path / ".tmp/old", tmp_path / ".tmp/new"
    for file in (old, new):
        file.write_text("half")
    os.utime(old, (0, time.time() - 3601))
    Ledger.open(str(tmp_path))
    assert new.exists() and not old.exists()


def test_a_file_is_durable_before_it_gets_its_name_and_its_name_before_success(
    tmp_path: Path, monkeypatch
):
    storage = Ledger.open(str(tmp_path)).storage
    storage.replace("folder/first", b"")
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        calls.append("directory" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    calls = kill_at(sys.maxsize, monkeypatch)
    monkeypatch.setattr(os, "fsync", noted)
    storage.create_once("folder/second", b"data")
    assert calls == ["file", "link", "unlink", "directory"]
    calls.clear()
    storage.replace("folder/second", b"data")
    assert calls == ["file", "replace", "unlink", "directory"]


def test_a_full_disk_leaves_nothing_half_made(tmp_path: Path, monkeypatch):
    ledger = Ledger.open(str(tmp_path))
    ledger.write_request({"trials": 1})
    ledger.add_trial(SPEC)
    before = sorted(tmp_path.rglob("*"))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pipelines.ledger.storage.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        ledger.write_request({"trials": 2})
    with pytest.raises(OSError, match="No space"):
        ledger.storage.create_once(f"trials/{KEY}/result.json", b"{}")
    assert sorted(tmp_path.rglob("*")) == before
    assert ledger.request() == {"trials": 1}

"""Files: created once, whole and durable, or not at all; whatever is killed and when."""

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import pipelines.ledger.local_storage
from pipelines.errors import UserError
from pipelines.ledger.files import SCRATCH
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.storage import open_storage, prove, reason_of
from tests.ledger.conftest import KEY, RESULT, ROWS, SPEC, recorded, state
from tests.support.object_store import BUCKET

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


def test_opening_a_storage_does_not_mind_files_that_others_finish_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    location = str(tmp_path / "study")
    Ledger.open(location)
    scan = os.scandir

    def scan_and_finish(folder) -> list[os.DirEntry[str]]:
        entries = list(scan(folder))
        for entry in entries:
            if entry.name == "half-written":
                os.unlink(entry)
        return entries

    (tmp_path / "study" / ".tmp" / "half-written").touch()
    monkeypatch.setattr(pipelines.ledger.local_storage.os, "scandir", scan_and_finish)
    Ledger.open(location)


def launch(location: str) -> None:
    """What driver and worker do to one trial, from wherever the last launch was killed."""
    ledger = Ledger.open(location)
    ledger.create_study({"hash": "a", "protocol": {}})
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
        assert trial.spec == SPEC and trial.result == recorded(trial.result["attempt"])


def test_kill_9_while_writing_loses_nothing_that_was_confirmed(tmp_path: Path):
    script = """
import sys
from pipelines.errors import UserError
from pipelines.ledger.files import SCRATCH
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.storage import open_storage, prove, reason_of
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

    monkeypatch.setattr(pipelines.ledger.local_storage.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        ledger.write_request({"trials": 2})
    with pytest.raises(OSError, match="No space"):
        ledger.storage.create_once(f"trials/{KEY}/result.json", b"{}")
    assert sorted(tmp_path.rglob("*")) == before
    assert ledger.request() == {"trials": 1}


# ---- a place that cannot hold a ledger is refused when it is opened


def broken(call: str, number: int) -> Callable:
    """A patch under which a system call fails as it does on some file systems."""

    def fail(*args: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    return lambda patch: patch.setattr(pipelines.ledger.local_storage.os, call, fail)


@pytest.mark.parametrize(
    ("call", "number", "says"),
    [
        ("link", errno.ENOSYS, "has no hard links"),  # FUSE
        ("link", errno.EPERM, "has no hard links"),  # exFAT
        ("link", errno.EOPNOTSUPP, "has no hard links"),  # SMB
        ("link", errno.EMLINK, "Too many links"),
        ("replace", errno.EXDEV, "Invalid cross-device link"),
        ("fsync", errno.EIO, "Input/output error"),
        ("scandir", errno.EACCES, "Permission denied"),
        ("mkdir", errno.EROFS, "Read-only file system"),
        ("open", errno.EROFS, "Read-only file system"),
    ],
)
def test_a_file_system_that_lacks_what_a_ledger_does_is_refused_at_once(
    tmp_path: Path, monkeypatch, call: str, number: int, says: str
):
    broken(call, number)(monkeypatch)
    with pytest.raises(UserError, match=rf"\Astorage .*{says}[^\n]*object store\Z"):
        open_storage(str(tmp_path / "study"), create=True)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_storage_that_overwrites_what_was_to_be_created_once_is_refused(location: str):
    storage = open_storage(location, create=True)

    class Overwriting(type(storage)):
        def create_once(self, path: str, data: bytes) -> bool:
            self.replace(path, data)
            return False

    storage.__class__ = Overwriting
    with pytest.raises(OSError, match="only if there is none"):
        prove(storage)


def test_a_proof_leaves_nothing_behind(location: str):
    storage = open_storage(location, create=True)
    prove(storage)
    assert storage.files(SCRATCH) == []


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("s3:/studies/a", "begins with s3://"),
        ("s3:studies/a", "begins with s3://"),
        ("S3:/studies/a", "begins with s3://"),
        ("gs:/studies/a", "begins with gs://"),
        ("az:studies", "begins with az://"),
        ("memory://studies", "gone with this process"),
        ("memory:studies", "begins with memory://"),
        ("file:///studies", "without file://"),
        ("FILE://studies", "without file://"),
        ("ftp://host/studies", "cannot be used"),
        ("s3://", "cannot be used"),
    ],
)
def test_what_only_looks_like_an_object_store_is_refused_and_no_directory(
    tmp_path: Path, monkeypatch, location: str, says: str
):
    monkeypatch.chdir(tmp_path)
    for create in (True, False):
        with pytest.raises(UserError, match=rf"\Astorage '[^\n]*{says}[^\n]*\Z"):
            open_storage(location, create=create)
    assert list(tmp_path.iterdir()) == []


def test_a_scheme_in_capital_letters_is_the_same_storage(s3: dict[str, str], monkeypatch):
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    open_storage(f"s3://{BUCKET}/capital", create=True).replace("a", b"b")
    assert open_storage(f"S3://{BUCKET}/capital", create=False).read("a") == b"b"


@pytest.mark.parametrize("name", ["runs:1", "c:study", "x:/y"])
def test_a_colon_in_a_directorys_name_is_fine(tmp_path: Path, monkeypatch, name: str):
    monkeypatch.chdir(tmp_path)
    open_storage(name, create=True).replace("a", b"b")
    assert (tmp_path / name / "a").read_bytes() == b"b"


def test_a_store_without_credentials_says_so():
    asked = "Generic GCS error: Error performing GET http://169.254.169.254/token\n\nDebug source"
    assert "no credentials" in reason_of(OSError(asked))


def test_an_object_store_that_cannot_be_asked_is_one_line(monkeypatch, s3: dict[str, str]):
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    for create in (True, False):
        with pytest.raises(UserError, match=r"\Astorage 's3://[^\n]*cannot be used[^\n]*\Z"):
            Ledger.open("s3://bucket/a", create=create)


OBSTACLES = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a folder": lambda path: path.symlink_to(path.parent),
}


@pytest.mark.parametrize("make", OBSTACLES.values(), ids=OBSTACLES)
def test_what_is_no_file_is_read_as_none_and_named_where_one_is_to_be(
    tmp_path: Path, make: Callable[[Path], object]
):
    storage = Ledger.open(str(tmp_path)).storage
    storage.replace("trials/spec.json", b"{}")
    make(tmp_path / "trials/result.json")
    assert storage.read("trials/result.json") is None
    assert [file.path for file in storage.files("trials")] == ["trials/spec.json"]
    with pytest.raises(OSError) as raised:
        storage.create_once("trials/result.json", b"{}")
    assert str(tmp_path / "trials/result.json") in pipelines.ledger.storage.reason_of(raised.value)


def test_an_object_stores_error_is_told_alike_however_long_its_request_took():
    texts = [f"error performing GET in {took} - 403 Forbidden\nbody" for took in ("1.2ms", "3.4s")]
    assert {reason_of(OSError(text)) for text in texts} == {"error performing GET - 403 Forbidden"}

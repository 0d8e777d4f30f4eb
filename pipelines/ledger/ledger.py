"""One directory per trial is the truth about a study.

    study.json                        the protocol, created once
    request.json                      what was asked for last
    lease/                            who drives the study (lease.py)
    trials/KEY/spec.json              what to run, created once
    trials/KEY/attempts/N/            all that attempt N writes
        started.json                  created by the driver, who alone hands out attempts
        checkpoint-STEP-DIGEST.pt     the newest two; removed once there is a result
        history.json                  all rows; like the trained model, written before the result
        error.json, traceback.txt     if the attempt failed
        conflict.json, traceback.txt  if it came to another result than the trial has
        set-aside.json                a diverged result of this attempt, as the trial was run again
    trials/KEY/result.json            created once
    index/N.jsonl                     copies of finished trials (index.py)

Every file is written atomically and durably, and none but `request.json`, the lease and the index
is ever written twice. So a process may be killed anywhere, and a worker that outlives its driver
hurts nobody. A file that cannot be parsed counts as not written. See docs/ledger.md.
"""

import time
import traceback
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from pipelines.documents import Json, canonical, decode, differences, encode, sha256
from pipelines.errors import UserError
from pipelines.ledger.index import Row, add_to_index, read_index
from pipelines.ledger.layout import (
    CHECKPOINT,
    DIGEST_LENGTH,
    KEY,
    Files,
    _attempt_folder,
    _error_name,
    _folder,
    _history_path,
    _newest_attempt,
    _steps,
    _versions,
)
from pipelines.ledger.lease import Holder, Lease, acquire_lease, live_holder
from pipelines.ledger.migration import current_spec
from pipelines.ledger.storage import Storage, open_storage
from pipelines.trial_documents import HistoryRow, TrialResult, TrialSpec

State = Literal["planned", "started", "failed", "completed", "diverged"]
KEPT_CHECKPOINTS = 2


class LedgerConflict(Exception):
    """Two attempts of one deterministic trial came to different results."""


@dataclass(frozen=True)
class TrialRecord:
    """What the ledger knows about one trial; `attempts` is the number of its newest attempt."""

    key: str
    spec: TrialSpec
    result: TrialResult | None
    error: Json | None  # of the newest attempt
    attempts: int
    history_path: str | None
    conflicts: int  # attempts that came to another result
    steps: int  # done at the furthest checkpoint
    versions: list[str | None]  # of its spec.json and result.json

    @property
    def state(self) -> State:
        """`started` is an attempt without an outcome: running, or interrupted."""
        if self.result is not None:
            return "diverged" if self.result.get("status") == "diverged" else "completed"
        if self.error is not None:
            return "failed"
        return "started" if self.attempts else "planned"


class Ledger:
    """The study in one storage. Its methods raise the storage's own errors (`STORAGE_ERRORS`)."""

    def __init__(self, storage: Storage):
        self.storage = storage
        self._indexed: set[str] = set()

    @staticmethod
    def open(location: str, *, create: bool = True) -> "Ledger":
        """The ledger at a local path or URL (see `open_storage`).

        Raises `UserError` if it cannot be used, or, without `create`, if there is no study in it.
        """
        ledger = Ledger(open_storage(location, create=create))
        if not create and ledger.study() is None:
            raise UserError(f"storage {location!r} holds no study: launch one there first")
        return ledger

    def acquire_lease(self, takeover: bool = False) -> Lease:
        """The right to be the study's driver. Raises `UserError` while another one is live."""
        return acquire_lease(self.storage, takeover)

    def driver(self) -> Holder | None:
        """Who drives the study now, if anybody does."""
        return live_holder(self.storage)

    # The study

    def study(self) -> Json | None:
        """What `study.json` holds; None before the first launch."""
        return self._read("study.json")

    def create_study(self, document: Json) -> Json:
        """Write `study.json` unless it exists; what it holds now."""
        return self._create("study.json", document) or document

    def request(self) -> Json | None:
        """What the newest launch asked for."""
        return self._read("request.json")

    def write_request(self, document: Json) -> None:
        """Set what is asked for. For the driver."""
        self.storage.replace("request.json", encode(document))

    # Trials

    def add_trial(self, spec: TrialSpec) -> bool:
        """Write a trial's spec; False if it has one. `ValueError` if its key is malformed."""
        return self._create(f"{_folder(spec['key'])}/spec.json", spec) is None

    def trials(self) -> dict[str, TrialRecord]:
        """All trials, by key, in one pass over the storage; histories are not read."""
        listings = self._listings("trials")
        rows = read_index(self.storage)
        known = {k: r for k, r in rows.items() if r.versions == _versions(listings.get(k, {}))}
        self._indexed = set(known)
        return self._load(listings, known)

    def trial(self, key: str) -> TrialRecord | None:
        """One trial, or None if it was never planned."""
        return self._load(self._listings(_folder(key)), {}).get(key)

    def histories(self, trials: Iterable[TrialRecord]) -> dict[str, list[HistoryRow]]:
        """The rows of those trials that have a history, by key."""
        paths = {t.key: t.history_path for t in trials if t.history_path}
        documents = map(decode, self.storage.read_many(paths.values()))
        return {key: doc["rows"] for key, doc in zip(paths, documents, strict=True) if doc}

    def new_attempt(self, key: str) -> int:
        """Number, from 1, of a new attempt at a trial. For the driver: no two share a number."""
        number = _newest_attempt(self._listings(_folder(key)).get(key, {})) + 1
        started = encode({"started": time.time()})
        while not self.storage.create_once(f"{_attempt_folder(key, number)}/started.json", started):
            number += 1
        return number

    def set_result_aside(self, key: str) -> None:
        """Move a trial's result to the attempt that made it, so that the trial can run again.

        For the driver.
        """
        path = f"{_folder(key)}/result.json"
        if (result := self._read(path)) is not None:
            # First the copy, then the deletion: a driver killed in between does both again.
            aside = f"{_attempt_folder(key, result['attempt'])}/set-aside.json"
            self.storage.replace(aside, encode(result))
            self.storage.delete(path)
            self._indexed.discard(key)

    def attempt(self, key: str, number: int) -> "Attempt":
        """A worker's way to write what became of an attempt."""
        return Attempt(self, key, number)

    def index(self, trials: Iterable[TrialRecord]) -> None:
        """Add those that are finished, and not yet in it, to the index. For the driver."""
        rows = [
            Row(t.key, t.versions, t.spec, t.result)
            for t in trials
            if t.result is not None and t.key not in self._indexed
        ]
        if rows:
            add_to_index(self.storage, rows)
            self._indexed.update(row.key for row in rows)

    def _listings(self, folder: str) -> dict[str, Files]:
        listings: dict[str, Files] = defaultdict(dict)
        for file in self.storage.files(folder):
            key, _, name = file.path.removeprefix("trials/").partition("/")
            if KEY.fullmatch(key):
                listings[key][name] = file
        return listings

    def _load(self, listings: dict[str, Files], known: dict[str, Row]) -> dict[str, TrialRecord]:
        newest = {key: _newest_attempt(files) for key, files in listings.items()}
        paths = [
            f"{_folder(key)}/{name}"
            for key, files in listings.items()
            for name in ("spec.json", "result.json", _error_name(newest[key]))
            if key not in known and name in files
        ]
        contents = map(decode, self.storage.read_many(paths))
        documents = dict(zip(paths, contents, strict=True))
        trials = {}
        for key, files in sorted(listings.items()):
            folder = _folder(key)
            if row := known.get(key):
                spec, result = row.spec, row.result
            else:
                spec, result = (documents.get(f"{folder}/{n}.json") for n in ("spec", "result"))
            if spec is not None:
                spec = current_spec(spec)
                trials[key] = TrialRecord(
                    key=key,
                    spec=spec,
                    result=cast(TrialResult | None, result),
                    error=documents.get(f"{folder}/{_error_name(newest[key])}"),
                    attempts=newest[key],
                    history_path=_history_path(key, files, newest[key]),
                    conflicts=sum(name.endswith("/conflict.json") for name in files),
                    steps=_steps(files),
                    versions=_versions(files),
                )
        return trials

    def _read(self, path: str) -> Json | None:
        return decode(self.storage.read(path))

    def _create(self, path: str, document: Mapping[str, object]) -> Json | None:
        """Write a file once: None if this call wrote it, else what it holds."""
        data = encode(document)
        if self.storage.create_once(path, data):
            return None
        existing = self._read(path)
        if existing is None:  # damaged, so it does not count as written
            self.storage.replace(path, data)
        return existing


class Attempt:
    """One attempt at a trial. It writes only below its own folder, and the trial's result, once.

    Checkpoints are bytes that the caller makes and reads; their file names hold the number of steps
    done and a digest, so that a damaged one is recognised and skipped.
    """

    def __init__(self, ledger: Ledger, key: str, number: int):
        self.ledger, self.storage = ledger, ledger.storage
        self.key, self.number = key, number
        self.folder = _attempt_folder(key, number)
        self._saved: list[str] = []

    def load_newest_checkpoint(self) -> tuple[int, bytes] | None:
        """Steps done and content of the furthest intact checkpoint of this and earlier attempts."""
        found = sorted(self._checkpoints())
        self._saved = [path for _, _, path, _ in found]
        for step, _, path, digest in reversed(found):
            data = self.storage.read(path)
            if data is not None and sha256(data)[: len(digest)] == digest:
                return step, data
        return None

    def save_checkpoint(self, data: bytes, step: int) -> None:
        """Write a checkpoint made after `step` steps; then drop all but the last two.

        Those of earlier attempts are dropped too, if the newest was loaded from here.
        """
        path = f"{self.folder}/checkpoint-{step}-{sha256(data)[:DIGEST_LENGTH]}.pt"
        self.storage.replace(path, data)
        self._saved = [*(other for other in self._saved if other != path), path]
        while len(self._saved) > KEPT_CHECKPOINTS:
            self.storage.delete(self._saved.pop(0))

    def write(self, name: str, data: bytes) -> None:
        """Write a file that belongs to the result, before `finish`."""
        self.storage.replace(f"{self.folder}/{name}", data)

    def fail(self, error: BaseException, error_class: str) -> None:
        """Record why the attempt ended; `error_class` is the caller's verdict, such as "user".

        A `LedgerConflict` is recorded apart: the trial keeps its state, and its result.
        """
        self.write("traceback.txt", "".join(traceback.format_exception(error)).encode())
        kind, message = type(error).__name__, str(error)
        name = "conflict.json" if isinstance(error, LedgerConflict) else "error.json"
        self.write(name, encode({"type": kind, "message": message, "class": error_class}))

    def finish(self, result: TrialResult, history: list[HistoryRow]) -> None:
        """Record the trial's result: durable on return.

        Raises `LedgerConflict` if the trial has another result, apart from the entries `attempt`,
        `cost` and `provenance`.
        """
        self.write("history.json", encode({"rows": history}))
        existing = self.ledger._create(f"{_folder(self.key)}/result.json", result)
        if existing is not None:
            _check_equal(self.key, self.number, existing, result)
        for _, _, path, _ in self._checkpoints():
            self.storage.delete(path)

    def _checkpoints(self) -> list[tuple[int, int, str, str]]:
        """Step, attempt, path and digest of each checkpoint of this and earlier attempts."""
        found = []
        for file in self.storage.files(f"{_folder(self.key)}/attempts"):
            match = CHECKPOINT.search(file.path)
            if match and int(match["attempt"]) <= self.number:
                step, attempt = int(match["step"]), int(match["attempt"])
                found.append((step, attempt, file.path, match["digest"]))
        return found


def _check_equal(key: str, attempt: int, existing: Json, result: Mapping[str, object]) -> None:
    if differing := differences(existing, result):
        name = differing[0]
        raise LedgerConflict(
            f"trial {key}: attempt {attempt} came to {name} = {canonical(result.get(name))}, "
            f"but its stored result has {canonical(existing.get(name))}"
        )

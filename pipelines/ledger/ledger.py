"""One directory per trial is the truth about a study.

    study.json                        the protocol, created once; says where the data are now
    request.json                      what was asked for last
    lease/                            who drives the study (lease.py)
    trials/KEY/spec.json              what to run, created once
    trials/KEY/attempts/N/            all that attempt N writes
        started.json                  created by the driver, who alone hands out attempts; written
                                      again by the worker: on which host it runs
        checkpoint-STEP-DIGEST.pt     the newest two; removed once there is a result
        progress.json                 the rows so far, for whoever looks on; removed in the end
        history.json                  all rows; like the trained model, written before the result
        pruned.json                   its model was deleted on demand
        error.json, traceback.txt     if the attempt failed
        conflict.json, traceback.txt  if it came to another result than the trial has
        stopped.json                  at which epoch a rule stopped it, and why; its rows until then
        set-aside.json                a diverged result of this attempt, as the trial was run again
    trials/KEY/result.json            created once
    index/N.jsonl                     copies of finished trials (index.py)

Every file is written atomically and durably, and none but `request.json`, the lease, the index,
`started.json`, and `study.json` as data move, is ever written twice. So a process may be killed
anywhere, and a worker that outlives its driver hurts nobody. Documents carry a digest of their
content, and a result those of the files beside it: what does not match its digest counts as not
written. See docs/ledger.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pipelines.documents import Json, decode, encode, sha256
from pipelines.errors import UserError
from pipelines.ledger.attempt import Attempt
from pipelines.ledger.contents import Contents, listings, read_contents
from pipelines.ledger.damage import ANEW, STUDY, Check
from pipelines.ledger.documents import create_document, read_document, write_document
from pipelines.ledger.index import Row, add_to_index, read_index
from pipelines.ledger.layout import (
    PROGRESS,
    RESULT,
    SET_ASIDE,
    SPEC,
    STARTED,
    attempt_folder,
    newest_attempt,
    trial_folder,
)
from pipelines.ledger.lease import Holder, Lease, acquire_lease, damaged_leases, live_holder
from pipelines.ledger.record import TrialRecord
from pipelines.ledger.storage import STORAGE_ERRORS, Storage, open_storage, unusable
from pipelines.trial_documents import HistoryRow, TrialSpec

STUDY_FILE, REQUEST_FILE = "study.json", "request.json"


class Running(NamedTuple):
    """A trial that runs, on a host.

    started: seconds since the epoch; rows: that it has shown.
    """

    trial: TrialRecord
    started: float
    rows: list[HistoryRow]
    host: str


class Ledger:
    """The study in one storage. Its methods raise the storage's own errors (`STORAGE_ERRORS`)."""

    def __init__(self, storage: Storage):
        self.storage = storage
        self._indexed: set[str] = set()  # keys of trials whose row counts
        self._damaged_index: list[str] = []

    @staticmethod
    def open(location: str, *, create: bool = True) -> Ledger:
        """The ledger at a local path or URL (see `open_storage`).

        Raises:
            UserError: it cannot be used; or, without `create`, there is no study in it.
        """
        ledger = Ledger(open_storage(location, create=create))
        try:
            missing = not create and ledger.study() is None
            begun = missing and bool(ledger.storage.files("trials"))
        except STORAGE_ERRORS as error:
            raise unusable(location, error, create=create) from error
        if begun:
            raise UserError(
                f"storage {location!r}: study.json is damaged or gone; launch the study again, "
                "which writes it anew"
            )
        if missing:
            raise UserError(f"storage {location!r} holds no study: launch one there first")
        return ledger

    def acquire_lease(self, takeover: bool = False) -> Lease:
        """The right to be the study's driver.

        Raises:
            LeaseHeld: another driver is live.
        """
        return acquire_lease(self.storage, takeover)

    def driver(self) -> Holder | None:
        """Who drives the study now, if anybody does."""
        return live_holder(self.storage)

    # ---- the study

    def study(self) -> Json | None:
        """What `study.json` holds; None before the first launch."""
        return read_document(self.storage, STUDY_FILE)

    def create_study(self, document: Json) -> Json:
        """Write `study.json` unless it exists; what it holds now. For the driver.

        Where it exists, and differs in nothing that the protocol's hash knows of, it learns where
        the data are now: they may have moved, and this launch has read them.
        """
        there = create_document(self.storage, STUDY_FILE, document)
        if there is None:
            return document
        if there["hash"] == document["hash"] and there["protocol"] != document["protocol"]:
            there = there | {"protocol": document["protocol"]}
            write_document(self.storage, STUDY_FILE, there)
        return there

    def request(self) -> Json | None:
        """What the newest launch asked for."""
        return read_document(self.storage, REQUEST_FILE)

    def write_request(self, document: Json) -> None:
        """Set what is asked for. For the driver."""
        write_document(self.storage, REQUEST_FILE, document)

    # ---- trials

    def add_trial(self, spec: TrialSpec) -> bool:
        """Write a trial's spec; False if it has one. `ValueError` if its key is malformed."""
        path = f"{trial_folder(spec['key'])}/{SPEC}"
        return create_document(self.storage, path, spec) is None

    def contents(self, check: Check = "changed") -> Contents:
        """All trials, by key, in one pass over the storage, and which files are damaged."""
        index, files = read_index(self.storage), listings(self.storage)
        trials, damaged = read_contents(self.storage, files, index.rows, check)
        self._indexed = {
            key
            for key, trial in trials.items()
            if key in index.rows and index.rows[key].versions == trial.versions
        }
        self._damaged_index = index.damaged
        if check != "nothing" and (names := [*index.damaged, *self._damaged(bool(files), check)]):
            damaged[STUDY] = dict.fromkeys(names, ANEW)
        return Contents(trials, damaged)

    def _damaged(self, begun: bool, check: Check) -> list[str]:
        """Of the study's own documents; one that has begun has them."""
        contents = {path: self.storage.read(path) for path in (STUDY_FILE, REQUEST_FILE)}
        damaged = [
            path
            for path, data in contents.items()
            if (begun or data is not None) and decode(data, path) is None
        ]
        return damaged + (damaged_leases(self.storage) if check == "all" else [])

    def trials(self) -> dict[str, TrialRecord]:
        """All trials, by key."""
        return self.contents("nothing").trials

    def trial(self, key: str) -> TrialRecord | None:
        """One trial, or None if it was never planned."""
        files = listings(self.storage, trial_folder(key))
        return read_contents(self.storage, files, {}, "nothing").trials.get(key)

    def histories(self, trials: Iterable[TrialRecord]) -> dict[str, list[HistoryRow]]:
        """The rows of those trials that have an intact history, by key."""
        paths = {t.key: t.history_path for t in trials if t.history_path}
        documents = self._documents([*paths.values()])
        return {key: doc["rows"] for key, doc in zip(paths, documents, strict=True) if doc}

    def artifact(self, trial: TrialRecord, name: str) -> bytes | None:
        """A file that a finished trial left beside its result; None if it is missing or damaged."""
        assert trial.result is not None
        folder = attempt_folder(trial.key, trial.result["attempt"])
        data = self.storage.read(f"{folder}/{name}")
        written = trial.result.get("files", {}).get(name)  # version 0.1 had no digests
        return None if data is None or written not in (None, sha256(data)) else data

    def running(self, trials: Iterable[TrialRecord], since: float) -> Iterator[Running]:
        """Those whose newest attempt began at `since`, or later, and has not ended.

        One that waits for a machine has a number, and no host yet: it does not run.
        """
        started = [trial for trial in trials if trial.state == "started"]
        folders = [attempt_folder(trial.key, trial.attempts) for trial in started]
        beginnings = self._documents([f"{folder}/{STARTED}" for folder in folders])
        shown = self._documents([f"{folder}/{PROGRESS}" for folder in folders])
        for trial, beginning, progress in zip(started, beginnings, shown, strict=True):
            if beginning and "host" in beginning and beginning["started"] >= since:
                rows = progress["rows"] if progress else []
                yield Running(trial, beginning["started"], rows, beginning["host"])

    def _documents(self, paths: Sequence[str]) -> list[Json | None]:
        return list(map(decode, self.storage.read_many(paths), paths))

    def new_attempt(self, key: str) -> int:
        """Number, from 1, of a new attempt at a trial. For the driver: no two share a number."""
        files = listings(self.storage, trial_folder(key)).get(key, {})
        number = newest_attempt(files) + 1
        while not self._start(f"{attempt_folder(key, number)}/{STARTED}"):
            number += 1
        return number

    def _start(self, path: str) -> bool:
        return self.storage.create_once(path, encode({"started": time.time()}, path))

    def set_result_aside(self, key: str, damaged: Iterable[str] = ()) -> None:
        """Move a trial's result to the attempt that made it, so that the trial can run again.

        For the driver. damaged: files of the trial that are of no use any more.
        """
        path = f"{trial_folder(key)}/{RESULT}"
        if (result := read_document(self.storage, path)) is not None:
            # First the copy, then the deletion: a driver killed in between does both again.
            aside = f"{attempt_folder(key, result['attempt'])}/{SET_ASIDE}"
            write_document(self.storage, aside, result)
            self.storage.delete(path)
            self._indexed.discard(key)
        for name in damaged:
            self.storage.delete(f"{trial_folder(key)}/{name}")

    def host_of(self, key: str, number: int) -> str | None:
        """The host that an attempt ran on, as far as its worker has come to saying so."""
        started = read_document(self.storage, f"{attempt_folder(key, number)}/{STARTED}")
        return (started or {}).get("host")

    def attempt(self, key: str, number: int) -> Attempt:
        """A worker's way to write what became of an attempt."""
        return Attempt(self.storage, key, number)

    def index(self, trials: Iterable[TrialRecord]) -> None:
        """Add those that are finished, and not yet in it, to the index. For the driver."""
        for path in self._damaged_index:
            self.storage.delete(path)
        self._damaged_index = []
        rows = [
            Row(t.key, t.versions, t.spec, t.result)
            for t in trials
            if t.result is not None and t.key not in self._indexed
        ]
        if rows:
            add_to_index(self.storage, rows)
            self._indexed.update(row.key for row in rows)

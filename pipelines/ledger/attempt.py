"""One attempt at a trial, as the worker that makes it writes it."""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from pipelines.documents import Json, canonical, differences, encode, sha256
from pipelines.ledger.documents import create_document, write_document
from pipelines.ledger.layout import (
    CHECKPOINT,
    CONFLICT,
    DIGEST_LENGTH,
    ERROR,
    HISTORY,
    PROGRESS,
    RESULT,
    STARTED,
    STOPPED,
    TRACEBACK,
    attempt_folder,
    trial_folder,
)
from pipelines.ledger.storage import STORAGE_ERRORS, Storage
from pipelines.trial_documents import HistoryRow, Rung

KEPT_CHECKPOINTS = 2
SHOW_SECONDS = 5.0


class LedgerConflict(Exception):
    """Two attempts of one deterministic trial came to different results."""


class Failure(NamedTuple):
    """Why an attempt failed, as plain values: where its worker cannot write it, the driver does.

    kind: the error's class; error_class: the verdict on it, such as "user".
    """

    kind: str
    message: str
    error_class: str
    traceback: str
    host: str

    @classmethod
    def of(cls, error: BaseException, error_class: str) -> Failure:
        """An error of this process."""
        text = "".join(traceback.format_exception(error))
        return cls(type(error).__name__, str(error), error_class, text, socket.gethostname())


class _Checkpoint(NamedTuple):
    """One checkpoint; sorts by how far it is."""

    step: int
    attempt: int
    path: str
    digest: str


class Attempt:
    """One attempt at a trial. It writes only below its own folder, and the trial's result, once.

    Checkpoints are bytes that the caller makes and reads; their file names hold the number of steps
    done and a digest, so that a damaged one is recognised and skipped.
    """

    def __init__(self, storage: Storage, key: str, number: int):
        self.storage, self.key, self.number = storage, key, number
        self.folder = attempt_folder(key, number)
        self._saved: list[str] = []
        self._digests: dict[str, str] = {}  # of the files that belong to the result
        self._begun = self._shown = time.monotonic()

    def begin(self) -> None:
        """Say where it runs, which the driver did not know when it gave the attempt its number."""
        here = {"started": time.time(), "host": socket.gethostname(), "pid": os.getpid()}
        write_document(self.storage, f"{self.folder}/{STARTED}", here)

    def load_newest_checkpoint(self) -> tuple[int, bytes] | None:
        """Steps done and content of the furthest intact checkpoint of this and earlier attempts."""
        checkpoints = sorted(self._checkpoints())
        self._saved = [checkpoint.path for checkpoint in checkpoints]
        for checkpoint in reversed(checkpoints):
            data = self.storage.read(checkpoint.path)
            if data is not None and sha256(data).startswith(checkpoint.digest):
                return checkpoint.step, data
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
        self._digests[name] = sha256(data)

    def show(self, history: list[HistoryRow]) -> None:
        """Let others see how far the attempt has come, every few seconds."""
        if time.monotonic() - self._shown < SHOW_SECONDS:
            return
        self._shown = time.monotonic()
        with suppress(*STORAGE_ERRORS):  # nothing depends on it
            write_document(self.storage, f"{self.folder}/{PROGRESS}", {"rows": history})

    def fail(self, error: BaseException, error_class: str) -> None:
        """Record why the attempt ended; `error_class` is the caller's verdict, such as "user"."""
        self.record(Failure.of(error, error_class))

    def record(self, failure: Failure) -> None:
        """Record why the attempt ended, here or elsewhere.

        A `LedgerConflict` is recorded apart: the trial keeps its state, and its result.
        """
        text = failure.traceback.encode()
        path = f"{self.folder}/{CONFLICT if failure.kind == LedgerConflict.__name__ else ERROR}"
        document = {"type": failure.kind, "message": failure.message}
        document |= {"class": failure.error_class, "host": failure.host}
        # The document first: a traceback without one has lost it.
        write_document(self.storage, path, document | {"files": {TRACEBACK: sha256(text)}})
        self.storage.replace(f"{self.folder}/{TRACEBACK}", text)

    def stop(self, rung: Rung, history: list[HistoryRow], details: Mapping[str, object]) -> None:
        """Record that the attempt was stopped at a rung, from whose checkpoint it may go on.

        details: further entries, on what it has cost and was computed with.
        """
        document = {"epoch": len(history), "why": rung.why, **details, "rows": history}
        write_document(self.storage, f"{self.folder}/{STOPPED}", document)
        self._hide()

    def finish(self, result: Mapping[str, object], history: list[HistoryRow]) -> None:
        """Record the trial's result: durable on return.

        It is completed by the attempt's number and by digests of the files beside it.

        Raises:
            LedgerConflict: the trial has another result, apart from what differs from run to run.
        """
        # History and model come first: a result is never without them.
        self.write(HISTORY, encode({"rows": history}, f"{self.folder}/{HISTORY}"))
        complete = {**result, "attempt": self.number, "files": self._digests}
        existing = create_document(self.storage, f"{trial_folder(self.key)}/{RESULT}", complete)
        if existing is not None:
            self._check_equal(existing, complete)
        for checkpoint in self._checkpoints():
            self.storage.delete(checkpoint.path)
        self._hide()

    def _hide(self) -> None:
        """What others could see of the attempt is told elsewhere now."""
        if self._shown > self._begun:
            self.storage.delete(f"{self.folder}/{PROGRESS}")

    def _checkpoints(self) -> list[_Checkpoint]:
        """Those of this and of earlier attempts."""
        matches = (
            CHECKPOINT.search(file.path)
            for file in self.storage.files(f"{trial_folder(self.key)}/attempts")
        )
        return [
            _Checkpoint(int(match["step"]), int(match["attempt"]), match.string, match["digest"])
            for match in matches
            if match and int(match["attempt"]) <= self.number
        ]

    def _check_equal(self, existing: Json, result: Json) -> None:
        if differing := differences(existing, result):
            name = differing[0]
            raise LedgerConflict(
                f"trial {self.key}: attempt {self.number} came to {name} = "
                f"{canonical(result.get(name))}, but its stored result has "
                f"{canonical(existing.get(name))}"
            )

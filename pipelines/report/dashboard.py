"""What is shown of a running study, kept up to date; `dashboard_server` serves it."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from pipelines.errors import UserError
from pipelines.ledger.layout import KEY
from pipelines.ledger.ledger import Ledger
from pipelines.report.pages import page
from pipelines.report.study_report import study_report

LOOK_SECONDS = 3.0  # between two looks at the ledger
#: What a page links to, in the directory of its first study.
FILES = re.compile(
    r"results\.(json|csv)|suspects\.csv"
    rf"|trials/{KEY.pattern}/attempts/[0-9]+/(traceback\.txt|history\.json)"
)
TYPES = {"json": "application/json", "csv": "text/csv", "txt": "text/plain"}


class Content(NamedTuple):
    """What is served under some path."""

    body: bytes
    media_type: str


class Dashboard:
    """The page of some studies and its version; rebuilt when a ledger changed, not when asked.

    Its methods raise the storages' own errors, and a `UserError` once a study is no longer there.

    Raises:
        UserError: there is no study at one of the storages.
    """

    def __init__(self, storages: Sequence[str]) -> None:
        self.storages = list(storages)
        self.ledgers = [Ledger.open(storage, create=False) for storage in storages]
        self._lock = threading.Lock()
        self._looked = -LOOK_SECONDS
        self._version = ""
        self._built = ("", b"")

    def content(self, path: str) -> Content | None:
        """What is served under a path, which has no leading slash; None if nothing is."""
        if path == "":
            return Content(self.page(), "text/html")
        if path == "version":
            return Content(self.version().encode(), "text/plain")
        body = self.file(path)
        return None if body is None else Content(body, TYPES[path.rpartition(".")[2]])

    def version(self) -> str:
        """Changes with every trial that starts or ends, and with every new request."""
        with self._lock:
            if time.monotonic() - self._looked >= LOOK_SECONDS:
                self._version = self._look()
                self._looked = time.monotonic()
            return self._version

    def page(self) -> bytes:
        """The page as of the current version."""
        version = self.version()
        with self._lock:
            if self._built[0] != version:
                reports = [study_report(storage) for storage in self.storages]
                self._built = (version, page(reports, live=version).encode())
            return self._built[1]

    def file(self, path: str) -> bytes | None:
        """A file that the page links to; None if there is none, or if it is none of those."""
        return self.ledgers[0].storage.read_own(path) if FILES.fullmatch(path) else None

    def _look(self) -> str:
        """A digest of the requests and of trials' files by name and version; reads no trial."""
        digest = hashlib.sha256()
        for storage, ledger in zip(self.storages, self.ledgers, strict=True):
            if ledger.study() is None:
                raise UserError(f"storage {storage!r} holds no study any more")
            files = [file for file in ledger.storage.files("trials") if file.path.endswith(".json")]
            names = sorted(f"{file.path} {file.version}" for file in files)
            digest.update("\n".join([str(ledger.request()), *names]).encode())
        return digest.hexdigest()[:16]

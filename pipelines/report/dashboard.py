"""What is shown of a running study, kept up to date; `dashboard_server` serves it.

/            a small page that fetches live.json; of finished studies the report
/live.json   how the studies stand at this moment
/report      the report, as far as they have come
/version     of the report: a page that has another one renews itself
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipelines.documents import Json
from pipelines.errors import UserError
from pipelines.ledger.layout import KEY, PROGRESS
from pipelines.ledger.ledger import Ledger
from pipelines.report.pages import live_page, page
from pipelines.report.study_report import study_report
from pipelines.report.study_state import StudyState, load_study_state

LOOK_SECONDS = 3.0  # between two looks at the ledger
#: What a page links to, in the directory of its first study.
FILES = re.compile(
    r"results\.(json|csv)|suspects\.csv|trials\.csv|methods\.(tex|bib)"
    rf"|trials/{KEY.pattern}/(spec|result)\.json"
    rf"|trials/{KEY.pattern}/attempts/[0-9]+/(traceback\.txt|history\.json)"
)
TYPES = {
    "json": "application/json",
    "csv": "text/csv",
    "txt": "text/plain",
    "tex": "text/plain",
    "bib": "text/plain",
}


class Content(NamedTuple):
    """What is served under some path."""

    body: bytes
    media_type: str


class Dashboard:
    """The pages of some studies; what is costly is made when a ledger changed, not when asked.

    describe: how a study stands, for live.json. Methods raise the storages' own errors, and a
    `UserError` once a study is no longer there.

    Raises:
        UserError: there is no study at one of the storages.
    """

    def __init__(
        self, storages: Sequence[str], describe: Callable[[Ledger, StudyState], Json]
    ) -> None:
        self.storages, self.describe = list(storages), describe
        self.ledgers = [Ledger.open(storage, create=False) for storage in storages]
        self._lock = threading.Lock()
        self._looked = -LOOK_SECONDS
        self._version = ""
        self._built = ("", b"")
        self._reading = threading.Lock()
        self._read: tuple[str, list[StudyState]] = ("", [])

    def content(self, path: str) -> Content | None:
        """What is served under a path, which has no leading slash; None if nothing is."""
        if path == "":
            path = "report" if self._are_finished() else "live"
        if path == "live":
            return Content(live_page().encode(), "text/html")
        if path == "live.json":
            return Content(json.dumps(self.live(), allow_nan=False).encode(), "application/json")
        if path == "report":
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

    def live(self) -> list[Json]:
        """How the studies stand; of running trials, what they have shown since the last version."""
        states = self._states()
        return [self.describe(ledger, s) for ledger, s in zip(self.ledgers, states, strict=True)]

    def page(self) -> bytes:
        """The report as of the current version."""
        version = self.version()
        with self._lock:
            if self._built[0] != version:
                reports = [study_report(storage) for storage in self.storages]
                self._built = (version, page(reports, live=version).encode())
            return self._built[1]

    def file(self, path: str) -> bytes | None:
        """A file that the page links to; None if there is none, or if it is none of those."""
        return self.ledgers[0].storage.read_own(path) if FILES.fullmatch(path) else None

    def _states(self) -> list[StudyState]:
        """The studies as of the current version."""
        version = self.version()
        with self._reading:
            if self._read[0] != version:
                self._read = (version, [load_study_state(storage)[1] for storage in self.storages])
            return self._read[1]

    def _are_finished(self) -> bool:
        return all(state.planner.finished for state in self._states())

    def _look(self) -> str:
        """A digest of the requests and of trials' files by name and version; reads no trial."""
        digest = hashlib.sha256()
        for storage, ledger in zip(self.storages, self.ledgers, strict=True):
            if ledger.study() is None:
                raise UserError(f"storage {storage!r} holds no study any more")
            names = sorted(
                f"{file.path} {file.version}"
                for file in ledger.storage.files("trials")
                if file.path.endswith(".json") and not file.path.endswith(f"/{PROGRESS}")
            )
            digest.update("\n".join([str(ledger.request()), *names]).encode())
        return digest.hexdigest()[:16]

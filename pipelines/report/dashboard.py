"""The report of a running study, served to this machine alone and kept up to date."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from pipelines.ledger.layout import KEY
from pipelines.ledger.ledger import Ledger
from pipelines.report.pages import page
from pipelines.report.study_report import study_report

HOST = "127.0.0.1"
LOOK_SECONDS = 3.0  # between two looks at the ledger
#: What a page links to, in the directory of its first study.
FILES = re.compile(
    r"results\.(json|csv)|suspects\.csv"
    rf"|trials/{KEY.pattern}/attempts/[0-9]+/(traceback\.txt|history\.json)"
)
TYPES = {"json": "application/json", "csv": "text/csv", "txt": "text/plain"}


class Dashboard:
    """The page of some studies and its version; rebuilt when a ledger changed, not when asked.

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
        return self.ledgers[0].storage.read(path) if FILES.fullmatch(path) else None

    def _look(self) -> str:
        """A digest of the requests and of trials' files by name and version; reads no trial."""
        digest = hashlib.sha256()
        for ledger in self.ledgers:
            files = [file for file in ledger.storage.files("trials") if file.path.endswith(".json")]
            names = sorted(f"{file.path} {file.version}" for file in files)
            digest.update("\n".join([str(ledger.request()), *names]).encode())
        return digest.hexdigest()[:16]


class DashboardServer(ThreadingHTTPServer):
    """Serves a dashboard on the loopback interface."""

    def __init__(self, dashboard: Dashboard, port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self.dashboard = dashboard


class _Handler(BaseHTTPRequestHandler):
    server: DashboardServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        """The page, its version, or a file that it links to."""
        dashboard = self.server.dashboard
        path = unquote(urlsplit(self.path).path).lstrip("/")
        host = (self.headers["Host"] or "").rpartition(":")[0]
        if host not in (HOST, "localhost"):  # another site's name that leads here
            self.send_error(HTTPStatus.FORBIDDEN)
        elif path == "":
            self._send(dashboard.page(), "text/html")
        elif path == "version":
            self._send(dashboard.version().encode(), "text/plain")
        elif (content := dashboard.file(path)) is not None:
            self._send(content, TYPES[path.rpartition(".")[2]])
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _send(self, content: bytes, media_type: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{media_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal belongs to the user."""


def dashboard_server(storages: Sequence[str], port: int = 0) -> DashboardServer:
    """A server of the studies' page; port 0 takes any free one.

    Raises:
        UserError: there is no study at one of the storages.
        OSError: the port is taken.
    """
    return DashboardServer(Dashboard(storages), port)

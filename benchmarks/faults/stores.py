"""An object store that fails: a proxy before a good one."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.faults.commands import Shell
from benchmarks.faults.judge import Verdict, trials_at
from benchmarks.faults.plan import Fault
from benchmarks.faults.processes import finish, launch_of
from benchmarks.faults.studies import Studies

ENDPOINT = "AWS_ENDPOINT_URL"
SHARE = 0.15  # of requests that meet the fault
AWAY = 4.0  # seconds


class FaultyStore(ThreadingHTTPServer):
    """Passes requests on to a store, but for some.

    kind: what happens to these. They are chosen by `rng`, a share of all; a store that is away is
    so for some seconds from its twentieth request on.
    """

    daemon_threads = True

    def __init__(self, store: str, kind: str, rng: random.Random) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = urlsplit(store).netloc
        self.kind, self.rng = kind, rng
        self.requests = self.met = 0
        self.away_until = 0.0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fault(self) -> str | None:
        """What happens to this request; None: nothing."""
        with self.lock:
            self.requests += 1
            if self.kind == "away":
                if self.requests == 20:
                    self.away_until = time.monotonic() + AWAY
                meets = time.monotonic() < self.away_until
            else:
                meets = self.rng.random() < SHARE
            self.met += meets
            return self.kind if meets else None

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no news."""


class _Handler(BaseHTTPRequestHandler):
    """One request; `server` says what happens to it."""

    protocol_version = "HTTP/1.1"
    server: FaultyStore  # pyright: ignore[reportIncompatibleVariableOverride]

    def _pass(self) -> None:
        fault = self.server.fault()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault == "slow":
            time.sleep(0.3)
        elif fault == "errors 500 and 503":
            self._answer(self.server.rng.choice((500, 503)), {}, b"")
            return
        elif fault in ("connections reset", "away"):
            self._reset()
            return
        connection = HTTPConnection(self.server.address)
        # The address that was signed is the proxy's own, as the store's server does not check it.
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        data, headers = answer.read(), dict(answer.getheaders())
        connection.close()
        if fault == "acknowledgements lost":
            self._reset()
            return
        self._answer(answer.status, headers, data)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass

    def _answer(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _reset(self) -> None:
        """End the connection as a broken network does."""
        linger = b"\1\0\0\0\0\0\0\0"
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def faulty_store(store: str, kind: str, rng: random.Random) -> Iterator[FaultyStore]:
    """A proxy before a store, while entered."""
    server = FaultyStore(store, kind, rng)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def deal(fault: Fault, studies: Studies, shell: Shell, folder: Path) -> tuple[Verdict, str]:
    """Launch through a store that fails, then to the end through one that does not."""
    verdict, kind = Verdict(), fault.kind.partition(", ")[2]
    place = studies.copy("unfinished", folder / "study", s3=True)
    before = trials_at(place.location)
    with faulty_store(studies.store[ENDPOINT], kind, fault.rng) as server:
        through = Shell(shell.folder, {**studies.store, ENDPOINT: server.url})
        verdict.hear(through.run(*launch_of(studies, place)), (0, 3))
    finish(verdict, place, studies, shell, before)
    return verdict, f"{server.met} of {server.requests} requests"


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """This process finds the store, too."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

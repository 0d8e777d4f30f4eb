"""Serves a dashboard over HTTP, on the loopback interface of this machine alone.

h11 reads requests and writes answers; asyncio holds the connections, one for each request. Nobody
is waited for for long: a client that sends its request or takes its answer by the byte, or says
nothing at all, is dropped. Nothing that a client does is told on the terminal.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import re
import socket
from contextlib import suppress
from http import HTTPMethod, HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote

import h11

from pipelines.errors import UserError
from pipelines.ledger.storage import STORAGE_ERRORS, reason_of
from pipelines.report.dashboard import Dashboard

ADDRESSES = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
#: With another name that leads here, the site that owns the name could read the page.
OWN_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]*)?", re.IGNORECASE)
ABSOLUTE = re.compile(r"http://([^/?#]*)(.*)", re.IGNORECASE)
ALLOWED = ("GET", "HEAD")

REQUEST_BYTES = 16 * 1024
REQUEST_SECONDS = 10.0  # until a request is whole
CHUNK = 64 * 1024  # bytes
CHUNK_SECONDS = 10.0  # until that much of an answer is taken
LINGER_SECONDS = 1.0  # for what a client still sends: closed at once, it might lose the answer
CONNECTIONS = 100  # at once; for one more, the one goes that has waited longest for its request

HEADERS = {
    "Cache-Control": "no-cache",  # to be asked for anew, by its ETag
    "Connection": "close",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Answer(NamedTuple):
    """What a client gets."""

    status: HTTPStatus
    body: bytes = b""
    media_type: str = "text/plain"

    @classmethod
    def of(cls, status: HTTPStatus, reason: str = "") -> Answer:
        """A status in words."""
        text = f"{status.value} {status.phrase}" + (f": {reason}" if reason else "")
        return cls(status, f"{text}\n".encode(errors="backslashreplace"))


class DashboardServer:
    """A dashboard's sockets, and those who ask. Port 0 takes any that is free.

    Raises:
        OSError: the port is taken, or not for this user.
    """

    def __init__(self, dashboard: Dashboard, port: int = 0) -> None:
        self.dashboard = dashboard
        self._sockets = _loopback_sockets(port)
        self.port: int = self._sockets[0].getsockname()[1]
        self._connected: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.Task[None], None] = {}  # for a request; in order
        self._stopped = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        """Serve until `stop` is called, or an exception such as KeyboardInterrupt ends it."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        """End `run`, from another thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        # asyncio's own would print a traceback where a connection cannot be accepted, say.
        self._loop.set_exception_handler(lambda loop, context: None)
        servers = [await asyncio.start_server(self._connect, sock=s) for s in self._sockets]
        await self._stopped.wait()
        for server in servers:
            server.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its last."""
        task = asyncio.current_task()
        assert task is not None
        try:
            if self._make_room():
                self._connected.add(task)
                await self._converse(task, reader, writer)
        except (OSError, asyncio.CancelledError):  # too slow, gone, or one too many
            pass
        finally:
            self._connected.discard(task)
            self._waiting.pop(task, None)
            writer.transport.abort()

    def _make_room(self) -> bool:
        """Whether there is room for one more connection; the one that waits longest makes it."""
        if len(self._connected) < CONNECTIONS:
            return True
        longest = next(iter(self._waiting), None)
        if longest is None:
            return False
        self._connected.discard(longest)
        self._waiting.pop(longest)
        return longest.cancel()

    async def _converse(
        self,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST_BYTES)
        self._waiting[task] = None
        request = await _request(connection, reader)
        self._waiting.pop(task, None)
        if request is None:
            return
        if isinstance(request, HTTPStatus):
            await _send(connection, Answer.of(request), None, writer)
        else:
            await _send(connection, await self._answer(request), request, writer)
        await _linger(reader, writer)

    async def _answer(self, request: h11.Request) -> Answer:
        method = request.method.decode()
        if method not in ALLOWED:
            known = method in HTTPMethod.__members__
            return Answer.of(HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_IMPLEMENTED)
        if not request.http_version.startswith(b"1."):
            return Answer.of(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        target, host = request.target.decode("ascii", "replace"), _header(request, b"host")
        if absolute := ABSOLUTE.fullmatch(target):
            host, target = absolute[1], absolute[2] or "/"
        if not OWN_HOST.fullmatch(host):
            return Answer.of(HTTPStatus.FORBIDDEN, "this is not the name of this machine")
        try:
            path = unquote(re.split("[?#]", target)[0], errors="strict")
        except UnicodeDecodeError:
            path = ""
        if not path.startswith("/"):
            return Answer.of(HTTPStatus.BAD_REQUEST)
        return await asyncio.to_thread(self._content, path[1:])

    def _content(self, path: str) -> Answer:
        try:
            content = self.dashboard.content(path)
        except UserError as error:  # the study has been deleted, say
            return Answer.of(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except STORAGE_ERRORS as error:
            return Answer.of(HTTPStatus.SERVICE_UNAVAILABLE, reason_of(error))
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            return Answer.of(HTTPStatus.INTERNAL_SERVER_ERROR, reason)
        if content is None:
            return Answer.of(HTTPStatus.NOT_FOUND)
        return Answer(HTTPStatus.OK, content.body, content.media_type)


async def _request(
    connection: h11.Connection, reader: asyncio.StreamReader
) -> h11.Request | HTTPStatus | None:
    """What a client asks for; why that is no request; None where it asked for nothing."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            while (event := connection.next_event()) is h11.NEED_DATA:
                connection.receive_data(await reader.read(CHUNK))
    except TimeoutError:
        return HTTPStatus.REQUEST_TIMEOUT if connection.trailing_data[0] else None
    except h11.RemoteProtocolError as error:
        status = HTTPStatus(error.error_status_hint)
        too_large = status is HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        if too_large and b"\n" not in connection.trailing_data[0]:  # its first line is
            return HTTPStatus.REQUEST_URI_TOO_LONG
        return status
    return event if isinstance(event, h11.Request) else None


def _header(request: h11.Request, name: bytes) -> str:
    return dict(request.headers).get(name, b"").decode("latin-1").strip()


async def _send(
    connection: h11.Connection,
    answer: Answer,
    request: h11.Request | None,
    writer: asyncio.StreamWriter,
) -> None:
    """Send an answer, as fast as it is taken.

    Raises:
        OSError: the client is gone, or takes it too slowly.
    """
    status, body = answer.status, answer.body
    headers = HEADERS | {
        "Content-Type": f"{answer.media_type}; charset=utf-8",
        "Content-Length": str(len(body)),
    }
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(ALLOWED)
    if request is not None and status is HTTPStatus.OK:
        headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        known = _header(request, b"if-none-match")
        if known == "*" or headers["ETag"] in known:
            status = HTTPStatus.NOT_MODIFIED
    if status is HTTPStatus.NOT_MODIFIED or (request is not None and request.method == b"HEAD"):
        body = b""
    head = h11.Response(
        status_code=status.value, reason=status.phrase, headers=list(headers.items())
    )
    writer.transport.set_write_buffer_limits(0)  # `drain` waits until all of it is taken
    writer.write(connection.send(head) or b"")
    # Of a page that many wait for there is one copy. Nothing is written of an empty body.
    for start in range(0, max(1, len(body)), CHUNK):
        writer.write(memoryview(body)[start : start + CHUNK])
        async with asyncio.timeout(CHUNK_SECONDS):  # a TimeoutError is an OSError
            await writer.drain()


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read what a client still sends, for a moment, until it has seen the answer and closes."""
    writer.write_eof()
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while await reader.read(CHUNK):
                pass


def _loopback_sockets(port: int) -> list[socket.socket]:
    """Sockets of one port under each loopback address that this machine has."""
    sockets: list[socket.socket] = []
    for family, address in ADDRESSES.items():
        try:
            sockets.append(socket.create_server((address, port), family=family))
        except OSError as error:
            absent = error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
            if absent and family is socket.AF_INET6:
                continue
            for opened in sockets:
                opened.close()
            raise
        port = sockets[0].getsockname()[1]
    return sockets

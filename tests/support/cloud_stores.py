"""Google Cloud Storage and Azure Blob Storage on loopback: of their protocols, what we use."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

#: How each says that a file is to be created only if there is none, and that there is one.
IF_ABSENT = {"gs": ("x-goog-if-generation-match", "0", 412), "az": ("If-None-Match", "*", 409)}
#: A service account for which Google is asked for no token.
NOBODY = {"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": True}
LISTS = {
    "gs": (
        "<ListBucketResult>{}</ListBucketResult>",
        "<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        "<ETag>{tag}</ETag><Size>{size}</Size></Contents>",
    ),
    "az": (
        "<EnumerationResults><Blobs>{}</Blobs></EnumerationResults>",
        "<Blob><Name>{name}</Name><Properties>"
        "<Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified>"
        "<Content-Length>{size}</Content-Length><Content-Type>text/plain</Content-Type>"
        "<Etag>{tag}</Etag></Properties></Blob>",
    ),
}


class CloudStore(ThreadingHTTPServer):
    """A server that speaks like `scheme`; files by their paths, bucket or container included."""

    daemon_threads = True

    def __init__(self, scheme: str) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.scheme, self.lock = scheme, Lock()
        self.stored: dict[str, bytes] = {}


class _Requests(BaseHTTPRequestHandler):
    server: CloudStore
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        header, value, exists = IF_ABSENT[self.server.scheme]
        with self.server.lock:
            if self.headers.get(header) == value and self._path in self.server.stored:
                return self._answer(exists)
            self.server.stored[self._path] = data
        self._answer(201, tagged=data)

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        if "list-type" in asked or asked.get("comp") == ["list"]:
            return self._list(asked.get("prefix", [""])[0])
        data = self.server.stored.get(self._path)
        self._answer(404) if data is None else self._answer(200, data, data)

    def do_DELETE(self) -> None:
        self._answer(404 if self.server.stored.pop(self._path, None) is None else 204)

    def do_POST(self) -> None:
        """Azure's batches: each part is a request of its own; here, the deletion of a file."""
        data = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        answers = ""
        for number, path in enumerate(re.findall(r"^DELETE (\S+) HTTP", data, re.MULTILINE)):
            there = self.server.stored.pop(unquote(urlsplit(path).path), None) is not None
            status = "202 Accepted" if there else "404 Not Found"
            answers += f"--parts\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\n"
            answers += f"HTTP/1.1 {status}\r\n\r\n\r\n"
        self._answer(
            202, f"{answers}--parts--\r\n".encode(), kind="multipart/mixed; boundary=parts"
        )

    def log_message(self, format: str, *arguments: object) -> None:
        """Nobody reads it."""

    @property
    def _path(self) -> str:
        return unquote(urlsplit(self.path).path)

    def _list(self, prefix: str) -> None:
        whole, entry = LISTS[self.server.scheme]
        root = f"{self._path.rstrip('/')}/"
        entries = [
            entry.format(name=escape(path.removeprefix(root)), tag=_tag(data), size=len(data))
            for path, data in sorted(self.server.stored.items())
            if path.startswith(root + prefix)
        ]
        self._answer(200, whole.format("".join(entries)).encode(), kind="application/xml")

    def _answer(
        self, status: int, body: bytes = b"", tagged: bytes | None = None, kind: str = "text/plain"
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", formatdate(usegmt=True))
        if tagged is not None:
            self.send_header("ETag", _tag(tagged))
        self.end_headers()
        self.wfile.write(body)


def _tag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:16]}"'


@contextmanager
def cloud_store(scheme: str) -> Iterator[dict[str, str]]:
    """The environment in which obstore finds it at gs://BUCKET/... or az://CONTAINER/..."""
    server = CloudStore(scheme)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield {
            "gs": {
                "GOOGLE_ALLOW_HTTP": "true",
                "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(NOBODY | {"gcs_base_url": address}),
            },
            "az": {
                "AZURE_STORAGE_ENDPOINT": address,
                "AZURE_ALLOW_HTTP": "true",
                "AZURE_STORAGE_ACCOUNT_NAME": "account",
                "AZURE_STORAGE_ACCOUNT_KEY": "a2V5",
            },
        }[scheme]
    finally:
        server.shutdown()
        server.server_close()

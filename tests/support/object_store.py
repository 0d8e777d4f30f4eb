"""An S3 server on loopback, for tests of what is kept in object stores."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

from moto.server import ThreadedMotoServer

BUCKET = "studies"
KEY = "test"
UNKNOWN_KEY = b"<Error><Code>InvalidAccessKeyId</Code><Message>It is not known.</Message></Error>"


class KnownKeysOnly:
    """Answers as S3 does to whoever comes with another key; moto itself looks at none."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """A request by WSGI."""
        if f"Credential={KEY}/" in environ.get("HTTP_AUTHORIZATION", ""):
            return self._app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "application/xml")])
        return [UNKNOWN_KEY]


@contextmanager
def object_store() -> Iterator[dict[str, str]]:
    """The environment in which obstore finds an empty bucket, `BUCKET`; no other key opens it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        connection = HTTPConnection(host, port)
        connection.request("PUT", f"/{BUCKET}")
        connection.getresponse().read()
        connection.close()
        assert server._server is not None
        server._server.app = KnownKeysOnly(server._server.app)
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": "test",
        }
    finally:
        server.stop()

"""Ends the process with Ray once a server is gone that it depends on.

Left alone it would wait a minute inside Ray for what does not come back, where no signal and no
exception reaches it. The launch is another process, and sees it end (cluster/ray_process.py).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

ASK_SECONDS = 1.0  # between two looks
LOOKS = 2  # in a row at a server that is gone
STATUS = 1  # nobody looks at it

Server = tuple[str, int]  # host and port


@contextmanager
def watchdog(servers: Sequence[Server]) -> Iterator[None]:
    """While entered, this process ends once nothing listens at one of `servers` any more."""
    left = Event()
    watch = Thread(target=_watch, args=(servers, left), daemon=True)
    watch.start()
    try:
        yield
    finally:
        left.set()
        watch.join()


def server_at(address: str) -> Server:
    """The server at HOST:PORT; IPv6 comes in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _watch(servers: Sequence[Server], left: Event) -> None:
    looks = 0
    while not left.wait(ASK_SECONDS):
        looks = looks + 1 if any(map(_gone, servers)) else 0
        if looks == LOOKS:
            os._exit(STATUS)


def _gone(server: Server) -> bool:
    """Nothing listens there any more; a server that is merely slow is not gone."""
    try:
        socket.create_connection(server, timeout=ASK_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False

"""Ends the process with Ray once a server is gone that it depends on.

Left alone it would wait a minute inside Ray for what does not come back, where no signal and no
exception reaches it. The launch is another process, and sees it end (cluster/ray_process.py).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

ASK_SECONDS = 1.0  # between two looks, and for a server to answer
LOOKS = {"gone": 2, "silent": 5}  # in a row, at least, until a server is lost
SILENT_SECONDS = 60.0  # until a silent one is; Ray's own time-out
STATUS = 1  # nobody looks at it

Server = tuple[str, int]  # host and port


@contextmanager
def watchdog(servers: Sequence[Server]) -> Iterator[None]:
    """While entered, this process ends once one of `servers` is lost.

    Nothing listens there any more or, after a minute, nobody answers: its host has vanished.
    """
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
    looks, heard = dict.fromkeys(LOOKS, 0), time.monotonic()
    while not left.wait(ASK_SECONDS):
        answers = {_answer(server) for server in servers}
        looks = {fault: looks[fault] + 1 if fault in answers else 0 for fault in LOOKS}
        if "silent" not in answers:
            heard = time.monotonic()
        # By the clock, as Ray keeps this thread waiting, too; and by looks, as a machine may sleep.
        patient = time.monotonic() - heard < SILENT_SECONDS
        if looks["gone"] >= LOOKS["gone"] or (looks["silent"] >= LOOKS["silent"] and not patient):
            os._exit(STATUS)


def _answer(server: Server) -> str:
    """Of LOOKS, or "there". A server that is slow, or whose link is cut for a while, is silent."""
    try:
        socket.create_connection(server, timeout=ASK_SECONDS).close()
    except ConnectionRefusedError:
        return "gone"
    except OSError:
        return "silent"
    return "there"

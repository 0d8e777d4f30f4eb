"""Ends a launch whose own Ray was ended from outside.

Batch systems and `timeout` send SIGTERM to all processes of a job at once. Ray's servers follow it,
and the driver would wait a minute inside Ray for what is gone, longer than it has. What had
finished is in the ledger, whenever a driver ends.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from rich.console import Console

ASK_SECONDS = 1.0  # between two looks
STATUS = 128 + signal.SIGTERM


@contextmanager
def watchdog(address: str) -> Iterator[None]:
    """While entered, this process ends once Ray's server at HOST:PORT is gone.

    It does so in one line, with the exit status of SIGTERM.
    """
    host, _, port = address.rpartition(":")
    left = Event()
    server = host.strip("[]"), int(port)  # IPv6 comes in brackets
    watch = Thread(target=_watch, args=(server, left), daemon=True)
    watch.start()
    try:
        yield
    finally:
        left.set()
        watch.join()


def _watch(server: tuple[str, int], left: Event) -> None:
    while not left.wait(ASK_SECONDS):
        if _gone(server):
            try:
                screen = Console(stderr=True, soft_wrap=True)
                screen.show_cursor()  # a progress bar may have hidden it
                screen.print(
                    "Stopped: the processes of Ray were ended from outside. What was done is kept; "
                    "the same command goes on from there."
                )
            finally:  # also where nobody reads any more
                os._exit(STATUS)  # the main thread waits inside Ray, where it cannot be reached


def _gone(server: tuple[str, int]) -> bool:
    """Nothing listens there any more; a server that is merely slow is not gone."""
    try:
        socket.create_connection(server, timeout=ASK_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False

"""The process with Ray ends with a server that it depends on, and with nothing less."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.cluster.watchdog import STATUS


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, socket, time
import pipelines.cluster.watchdog as watchdog_module
from pipelines.cluster.watchdog import server_at, watchdog

family, host = {family}
other = socket.create_server(("127.0.0.1", 0))
server = socket.create_server((host.strip("[]"), 0), family=family)
with watchdog([other.getsockname(), server_at("%s:%d" % (host, server.getsockname()[1]))]):
    {inside}
{after}
"""


IPV4 = 'socket.AF_INET, "127.0.0.1"'
IPV6 = 'socket.AF_INET6, "[::1]"'


def run(inside: str, after: str = "", family: str = IPV4) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(inside=inside, after=after, family=family)
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=240
    )


@pytest.mark.parametrize("family", [IPV4, pytest.param(IPV6, marks=needs_ipv6)])
def test_it_ends_a_process_that_waits_for_a_server_that_is_gone(family: str):
    begin = time.monotonic()
    done = run("server.close(); time.sleep(50)", "print('went on')", family)
    assert time.monotonic() - begin < 20
    assert (done.returncode, done.stdout, done.stderr) == (STATUS, "", "")


def test_a_server_that_is_away_for_a_moment_is_not_gone():
    away = "at = server.getsockname(); server.close(); time.sleep(0.5); "
    back = "server = socket.create_server(at); time.sleep(3)"
    done = run(away + back, "print('went on')")
    assert (done.returncode, done.stdout) == (0, "went on\n")


BUSY = """
    server.listen(0)
    asked = [socket.socket() for _ in range(5)]
    [a.setblocking(False) or a.connect_ex(server.getsockname()) for a in asked]
    time.sleep({seconds})
"""


def test_it_lets_a_server_be_that_is_there_or_too_busy_to_answer():
    """A full queue of connections: those that ask wait, and are not refused."""
    for inside in ("time.sleep(3)", BUSY.format(seconds=3)):
        done = run(inside, "print('went on')")
        assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


@pytest.mark.slow
def test_a_server_that_is_silent_for_too_long_is_lost():
    """Its host has vanished; nobody is there to refuse."""
    soon = 'watchdog_module.SILENT_SECONDS, watchdog_module.LOOKS["silent"] = 1.5, 2'
    done = run(f"{soon}; {BUSY.format(seconds=50).lstrip()}", "print('went on')")
    assert (done.returncode, done.stdout, done.stderr) == (STATUS, "", "")


def test_once_left_it_watches_no_more():
    done = run("pass", "server.close(); time.sleep(3); print('went on')")
    assert (done.returncode, done.stdout) == (0, "went on\n")

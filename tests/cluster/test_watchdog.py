"""A launch ends with its own Ray, and with nothing less."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest


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
from pipelines.cluster.watchdog import watchdog

family, host = {family}
server = socket.create_server((host.strip("[]"), 0), family=family)
with watchdog("%s:%d" % (host, server.getsockname()[1])):
    {inside}
{after}
"""


IPV4 = 'socket.AF_INET, "127.0.0.1"'
IPV6 = 'socket.AF_INET6, "[::1]"'


def run(inside: str, after: str = "", family: str = IPV4) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(inside=inside, after=after, family=family)
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("family", [IPV4, pytest.param(IPV6, marks=needs_ipv6)])
def test_it_ends_a_process_that_waits_for_a_server_that_is_gone(family: str):
    begin = time.monotonic()
    done = run("server.close(); time.sleep(50)", "print('went on')", family)
    assert time.monotonic() - begin < 20
    assert done.returncode == 128 + signal.SIGTERM and done.stdout == ""
    assert "the same command goes on from there" in done.stderr and done.stderr.count("\n") == 1


def test_it_ends_it_too_where_nobody_reads_what_it_says():
    """`launch 2>&1 | tee log`, and `tee` had the same signal."""
    inside = "r, w = os.pipe(); os.dup2(w, 2); os.close(r); os.close(w)"
    done = run(f"{inside}; server.close(); time.sleep(50)", "print('went on')")
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "")


def test_it_lets_a_server_be_that_is_there_or_too_busy_to_answer():
    """A full queue of connections: those that ask wait, and are not refused."""
    busy = (
        "server.listen(0); "
        "asked = [socket.socket() for _ in range(5)]; "
        "[a.setblocking(False) or a.connect_ex(server.getsockname()) for a in asked]; "
        "time.sleep(3)"
    )
    for inside in ("time.sleep(3)", busy):
        done = run(inside, "print('went on')")
        assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


def test_once_left_it_watches_no_more():
    done = run("pass", "server.close(); time.sleep(3); print('went on')")
    assert (done.returncode, done.stdout) == (0, "went on\n")

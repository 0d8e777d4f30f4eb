"""A launch ends with its own Ray, and with nothing less."""

import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROGRAM = """
import socket, time
from pipelines.lifeline import lifeline

server = socket.create_server(("127.0.0.1", 0))
with lifeline("127.0.0.1:%d" % server.getsockname()[1]):
    {inside}
{after}
"""


def run(inside: str, after: str = "") -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(inside=inside, after=after)
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60
    )


def test_it_ends_a_process_that_waits_for_a_server_that_is_gone():
    begin = time.monotonic()
    done = run("server.close(); time.sleep(50)", "print('went on')")
    assert time.monotonic() - begin < 20
    assert done.returncode == 128 + signal.SIGTERM and done.stdout == ""
    assert "the same command goes on from there" in done.stderr and done.stderr.count("\n") == 1


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

"""Ray nodes on loopback, as `ray start` makes them on machines of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.marks import marked_environment, marked_processes

RAY = str(Path(sys.executable).with_name("ray"))
START_SECONDS = 60.0
END_SECONDS = 20.0


class Nodes:
    """A head with two CPUs, its Ray client's server, and further nodes as they are added."""

    def __init__(self, ended: ExitStack, folder: str) -> None:
        self._ended, self._folder = ended, folder
        # Its clients' servers are forked while gRPC runs; without this they hang at times.
        fork = {"GRPC_ENABLE_FORK_SUPPORT": "0"}
        self.environment = marked_environment() | fork | {"HOME": folder}
        port, client_port = _free_port(), _free_port()
        self.address = f"127.0.0.1:{port}"
        self.client_address = f"ray://127.0.0.1:{client_port}"
        self._start(
            *("--head", f"--port={port}", f"--ray-client-server-port={client_port}"),
            *("--num-cpus=2", f"--temp-dir={folder}", "--include-dashboard=false"),
        )
        _wait_for(client_port)

    def add(self, prefix: Sequence[str] = ()) -> None:
        """A node with one CPU, by a command that starts with `prefix`."""
        self._start(f"--address={self.address}", "--num-cpus=1", prefix=prefix)

    def _start(self, *options: str, prefix: Sequence[str] = ()) -> None:
        log = self._ended.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115
        node = subprocess.Popen(
            [*prefix, RAY, "start", "--block", "--disable-usage-stats", *options],
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self._ended.callback(node.wait)
        self._ended.callback(node.terminate)
        deadline = time.monotonic() + START_SECONDS
        while os.pread(log.fileno(), 2**16, 0).find(b"Ray runtime started") < 0:
            assert node.poll() is None and time.monotonic() < deadline, log.read()
            time.sleep(0.1)


@contextmanager
def ray_nodes() -> Iterator[Nodes]:
    """A cluster with a head; all of it has ended afterwards."""
    # Not in tmp_path: the paths of Ray's sockets may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        with ExitStack() as ended:
            nodes = Nodes(ended, folder)
            yield nodes
        deadline = time.monotonic() + END_SECONDS
        while left := marked_processes(nodes.environment):
            if time.monotonic() > deadline:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)


def _free_port() -> int:
    """Not one of those that Ray gives to its workers (10002 to 19999)."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"nothing listens on port {port}"
            time.sleep(0.1)

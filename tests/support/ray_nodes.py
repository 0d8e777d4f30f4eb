"""Ray nodes as `ray start` makes them on machines of their own: on loopback, or emulated."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from tests.support.hosts import Hosts
from tests.support.marks import marked_environment, marked_processes

RAY = str(Path(sys.executable).with_name("ray"))
START_SECONDS = 240.0
END_SECONDS = 20.0


class Nodes:
    """A head with two CPUs, its Ray client's server, and further nodes as they are added."""

    def __init__(
        self,
        ended: ExitStack,
        folder: str,
        network: Hosts | None,
        head: str,
        prefix: Sequence[str],
        options: Sequence[str],
    ) -> None:
        self._ended, self._folder, self._network = ended, folder, network
        # Its clients' servers are forked while gRPC runs; without this they hang at times.
        fork = {"GRPC_ENABLE_FORK_SUPPORT": "0"}
        self.environment = marked_environment() | fork | {"HOME": folder}
        port, client_port = free_port(), free_port()
        address = "127.0.0.1" if network is None else network.address(head)
        self.address = f"{address}:{port}"
        self.client_address = f"ray://{address}:{client_port}"
        own = [f"--port={port}", f"--ray-client-server-port={client_port}", "--num-cpus=2"]
        own += ["--head", f"--temp-dir={folder}", "--include-dashboard=false"]
        self.head = self._start(*own, *options, prefix=prefix, host=head)
        if network is None:
            _wait_for(client_port)

    def add(
        self, prefix: Sequence[str] = (), host: str = "", options: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        """A node with one CPU, by a command that starts with `prefix`, on a host of that name."""
        own = [f"--address={self.address}", "--num-cpus=1"]
        return self._start(*own, *options, prefix=prefix, host=host)

    def _start(
        self, *options: str, prefix: Sequence[str] = (), host: str = ""
    ) -> subprocess.Popen[bytes]:
        if self._network is not None:
            prefix = [*self._network.on(host), *prefix]
            options = (*options, f"--node-ip-address={self._network.address(host)}")
        log = self._ended.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115
        node = subprocess.Popen(
            [*prefix, RAY, "start", "--block", "--disable-usage-stats", *options],
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self._ended.callback(node.wait)
        self._ended.callback(_terminate, node)
        deadline = time.monotonic() + START_SECONDS
        while os.pread(log.fileno(), 2**16, 0).find(b"Ray runtime started") < 0:
            assert node.poll() is None and time.monotonic() < deadline, log.read()
            time.sleep(0.1)
        return node


@contextmanager
def ray_nodes(
    network: Hosts | None = None,
    head: str = "",
    prefix: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Iterator[Nodes]:
    """A cluster with a head; all of it has ended afterwards.

    network: whose hosts the nodes are on; otherwise they are on loopback. head: the head's host.
    prefix: what the head's command starts with. options: further ones of it.
    """
    # Not in tmp_path: the paths of Ray's sockets may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        with ExitStack() as ended:
            nodes = Nodes(ended, folder, network, head, prefix, options)
            yield nodes
        deadline = time.monotonic() + END_SECONDS
        while left := marked_processes(nodes.environment):
            if time.monotonic() > deadline:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)


def _terminate(node: subprocess.Popen[bytes]) -> None:
    """`unshare --fork` takes no SIGTERM; it ends with the process that it started."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(node.pid)
        first = process.children() if "--fork" in process.cmdline() else [process]
        for one in first:
            one.terminate()


def free_port() -> int:
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

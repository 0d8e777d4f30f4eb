"""Hosts on a network of their own, on this machine: namespaces, whose links may be cut.

Nothing of the machine's own network is touched: the switch is in a namespace, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

NETWORK = "10.213.64"


def missing() -> str | None:
    """Why there can be no such hosts here."""
    if shutil.which("ip") is None:
        return "not installed: ip (Debian: iproute2)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        with hosts("one"):
            return None
    except subprocess.CalledProcessError as error:
        return f"network namespaces are not permitted here: {error.stderr.strip()}"


class Hosts:
    """Hosts by name, each on one port of a switch."""

    def __init__(self, names: Sequence[str], ended: ExitStack) -> None:
        self._names, self._made = names, uuid.uuid4().hex[:6]
        self._add("switch", ended)
        self._ip("switch", "link", "add", "bridge", "type", "bridge")
        self._ip("switch", "link", "set", "bridge", "up")
        for number, name in enumerate(names, 1):
            self._add(name, ended)
            far = ("peer", "name", "net", "netns", self._namespace(name))
            self._ip("switch", "link", "add", f"port{number}", "type", "veth", *far)
            self._ip("switch", "link", "set", f"port{number}", "master", "bridge", "up")
            self._ip(name, "address", "add", f"{self.address(name)}/24", "dev", "net")
            self._ip(name, "link", "set", "net", "up")
            self._ip(name, "link", "set", "lo", "up")

    def address(self, name: str) -> str:
        """A host's address as the others see it."""
        return f"{NETWORK}.{self._names.index(name) + 1}"

    def on(self, name: str) -> list[str]:
        """What a command begins with that runs on a host."""
        return ["ip", "netns", "exec", self._namespace(name)]

    def cut(self, name: str) -> None:
        """From now on, nothing that a host says arrives, nor what is said to it."""
        self._port(name, "nomaster")

    def mend(self, name: str) -> None:
        """Its cable is plugged in again."""
        self._port(name, "master", "bridge")

    def _port(self, name: str, *change: str) -> None:
        self._ip("switch", "link", "set", f"port{self._names.index(name) + 1}", *change)

    def _namespace(self, name: str) -> str:
        return f"untuned-{self._made}-{name}"

    def _add(self, name: str, ended: ExitStack) -> None:
        _run("ip", "netns", "add", self._namespace(name))
        ended.callback(_run, "ip", "netns", "delete", self._namespace(name))

    def _ip(self, name: str, *words: str) -> None:
        _run("ip", "-n", self._namespace(name), *words)


@contextmanager
def hosts(*names: str) -> Iterator[Hosts]:
    """Hosts of these names; the network is gone afterwards."""
    with ExitStack() as ended:
        yield Hosts(names, ended)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)

"""Drives a study from outside of its cluster, through the Ray client.

Tune needs a node in its process, so the drive itself is a task on the cluster's head. See
docs/clusters.md.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pipelines.cluster.connection  # noqa: F401  # sets Ray's switches; before ray itself

# isort: split
import ray
from ray.exceptions import RayError, RayTaskError
from rich.console import Console

from pipelines.cluster.tasks import StopFlag, StopPoller
from pipelines.errors import RayLost
from pipelines.execution.signals import ShouldStop

Drive = Callable[[Console, ShouldStop], bool]

HEAD = "node:__internal_head__"  # a resource that Ray gives to the head node alone
ASK_SECONDS = 1.0  # between looks at what the drive says


class DriverChannel(StopFlag):
    """An actor between a launch and its drive: the wish to stop goes there, the text comes back."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""

    def write(self, text: str) -> None:
        """The drive says something."""
        self._text += text

    def read(self) -> str:
        """What it has said since the last time."""
        text, self._text = self._text, ""
        return text


class _Output(io.StringIO):
    """The drive's side of a channel, as a file. What is written has arrived."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def write(self, text: str) -> int:
        ray.get(self._channel.write.remote(text))
        return len(text)


def drive_on_head(address: str, drive: Drive, console: Console, stop: ShouldStop) -> bool:
    """Run `drive` on the head of the cluster that a Ray client is connected to.

    address: for messages. drive: travels there; is called with a console and a wish to stop, which
    are passed on. Whatever it returns or raises is returned or raised here.

    Raises:
        RayLost: the drive was lost with its process or node.
    """
    channel = ray.remote(num_cpus=0)(DriverChannel).options(resources={HEAD: 0.001}).remote()
    there = ray.remote(num_cpus=0, max_retries=0, resources={HEAD: 0.001})(_drive)
    result = there.remote(drive, channel, console.width)
    try:
        while not ray.wait([result], timeout=ASK_SECONDS)[0]:
            if stop():
                channel.raise_.remote()
            _pass_on(channel, console)
        _pass_on(channel, console)
        return ray.get(result)
    except RayTaskError as error:
        raise error.cause from error
    except RayError as error:
        reason = str(error).strip().partition("\n")[0]
        raise RayLost(
            f"address {address!r}: the drive on the cluster was lost ({reason})"
        ) from error


def _pass_on(channel: Any, console: Console) -> None:
    console.out(ray.get(channel.read.remote()), end="", highlight=False)


def _drive(drive: Drive, channel: Any, width: int) -> bool:
    return drive(Console(file=_Output(channel), width=width), StopPoller(channel))

"""Looks on every machine for what would make a launch fail, or its results incomparable."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.documents import Json, sha256
from pipelines.errors import UserError
from pipelines.execution.machine import examine, ray_folder
from pipelines.execution.worker_config import NodeCheck, WorkerConfig
from pipelines.ledger.files import SCRATCH
from pipelines.ledger.local_storage import missing_folders, remove_empty
from pipelines.ledger.storage import is_url, open_storage
from pipelines.provenance import provenance
from pipelines.tracking.mode import wandb_url

LOW_DISK = 2 * 2**30  # bytes; a study of small models takes less, Ray's own files included
LOW_MEMORY = 2 * 2**30
LARGEST_SKEW = 5.0  # seconds, far below a lease's lifetime
SAME = ("python", "torch", "numpy", "ray")  # versions that must agree on all nodes


@dataclass(frozen=True)
class HealthIssue:
    """Something to put right: an error stops a launch, a warning does not."""

    level: Literal["error", "warning"]
    node: str
    fault: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.level}: {self.node}: {self.fault}: {self.remedy}"


@contextmanager
def marked(storage: str | None, url: str | None) -> Iterator[NodeCheck]:
    """A check of a file that lies in `storage` meanwhile."""
    if storage is None:
        yield NodeCheck(url=url)
        return
    # Absolute: nodes have another working directory.
    place = storage if is_url(storage) else str(Path(storage).absolute())
    made = [] if is_url(storage) else missing_folders(Path(place))
    files = open_storage(storage, create=True)
    marker, content = f"{SCRATCH}/marker-{uuid.uuid4().hex}", b"seen"
    files.replace(marker, content)
    try:
        yield NodeCheck(place, marker, sha256(content), url)
    finally:
        files.delete(marker)
        remove_empty(made)


def examine_here(storage: str | None, url: str | None) -> tuple[dict[str, Json], list[HealthIssue]]:
    """This machine, and its issues."""
    with marked(storage, url) as check:
        nodes = {socket.gethostname(): examine(check)}
    return nodes, _no_room_for_ray() + diagnose(nodes, time.time(), time.time())


def _no_room_for_ray() -> list[HealthIssue]:
    try:
        ray_folder()
    except UserError as error:
        return [HealthIssue("error", socket.gethostname(), "Ray cannot start", str(error))]
    return []


def examine_cluster(
    storage: str | None, url: str | None
) -> tuple[dict[str, Json], list[HealthIssue]]:
    """Every node, and its issues, of the Ray cluster that this process is connected to."""
    from pipelines.cluster.connection import on_every_node
    from pipelines.cluster.tasks import examine_node

    with marked(storage, url) as check:
        asked = time.time()
        answers = on_every_node(examine_node, check)
    nodes = {name: answer for name, answer in answers.items() if isinstance(answer, dict)}
    silent = [
        HealthIssue("error", name, str(answer), "see the node's log; `ray status` shows what lives")
        for name, answer in answers.items()
        if name not in nodes
    ]
    return nodes, silent + diagnose(nodes, asked, time.time())


def refuse_unfit(
    address: str | None, worker_config: WorkerConfig, say: Callable[[str], None]
) -> None:
    """`doctor` in short form, before the first trial of a launch; warnings are said in a line each.

    A machine that joined the cluster by itself stops nobody: it declines its first trial.

    Raises:
        UserError: another machine is not fit for the study.
    """
    examine = examine_here if address is None else examine_cluster
    _, issues = examine(worker_config.storage, wandb_url(worker_config.tracking))
    for issue in issues:
        if issue.level == "warning":
            say(str(issue))
        elif address is None or not _joined_by_itself(issue.node):
            raise UserError(str(issue).removeprefix("error: "))


def _joined_by_itself(node: str) -> bool:
    from pipelines.cluster.nodes import joined_by_themselves

    return node in joined_by_themselves()


def diagnose(nodes: dict[str, Json], asked: float, answered: float) -> list[HealthIssue]:
    """What is wrong with `nodes` that answered between two times of this machine's clock."""
    here = provenance()
    issues = []
    for name, node in nodes.items():
        issues += issues_of(name, node, here)
        skew = max(asked - node["time"], node["time"] - answered)
        if skew > LARGEST_SKEW:
            fault = f"clock is off by {skew:.0f} s"
            remedy = "leases expire by it: run NTP on the node"
            issues.append(HealthIssue("warning", name, fault, remedy))
    return issues


def issues_of(name: str, node: Json, driver: Json) -> list[HealthIssue]:
    """Of a node as it was examined. driver: versions and code of the launch."""
    errors = [HealthIssue("error", name, *fault) for fault in _errors(node, driver)]
    return errors + [HealthIssue("warning", name, *fault) for fault in _warnings(node)]


def errors_of(node: Json, driver: Json | None) -> list[str]:
    """Why a node cannot run trials, and what to do about it, in a line each."""
    return [f"{fault}: {remedy}" for fault, remedy in _errors(node, driver or node)]


def _errors(node: Json, here: Json) -> Iterable[tuple[str, str]]:
    if node["marker"] is False and node["refused"]:
        yield (
            f"cannot use the study's storage ({node['refused']})",
            "it needs what the driver has: keys of the store in its environment, or a role",
        )
    elif node["marker"] is False:
        yield (
            "does not see the study's storage",
            "give a --storage that is the same on every node: a shared directory, or s3://...",
        )
    if node["storage"] is not None:
        yield (
            f"cannot keep a study in the storage ({node['storage']})",
            "mount it there so that it can be written, with hard links and fsync; or use s3://...",
        )
    for package in SAME:
        there, ours = node["versions"].get(package), here["versions"].get(package)
        if there != ours:
            yield (
                f"has {package} {there}, the driver {ours}",
                "install the same versions (constraints.txt) everywhere",
            )
    if node["code"] != here["code"]:
        yield (
            "runs other code than the driver",
            "remove another copy from its path; or launch again if files have changed since",
        )


def _warnings(node: Json) -> Iterable[tuple[str, str]]:
    if node["disk"] < LOW_DISK:
        yield f"{node['disk'] / 2**30:.1f} GiB free in /tmp", "Ray's files go there: make room"
    if node["memory"] < LOW_MEMORY:
        free = node["memory"] / 2**30
        yield f"{free:.1f} GiB of memory free", "run fewer trials at once: --concurrent"
    offline = "runs are kept offline there: `report DIR --wandb` publishes them later"
    if node["wandb"] is False:
        yield "W&B does not answer", offline
    if node["wandb_key"] is False:
        yield "has no W&B key", f"set WANDB_API_KEY there, or {offline}"


def token_file() -> str:
    """Which Ray token this user has, if any: its file, never the token."""
    if "RAY_AUTH_TOKEN" in os.environ:
        return "in RAY_AUTH_TOKEN"
    default = Path.home() / ".ray" / "auth_token"
    path = os.environ.get("RAY_AUTH_TOKEN_PATH", str(default))
    return path if Path(path).exists() else "none"

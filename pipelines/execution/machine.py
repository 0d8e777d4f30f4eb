"""What a machine is, and what a node is asked."""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

import psutil

from pipelines.documents import Json
from pipelines.errors import UserError
from pipelines.ledger.storage import STORAGE_ERRORS, open_storage, prove, reason_of
from pipelines.provenance import provenance

WANDB_SECONDS = 5.0  # for W&B's server to answer
FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # where there is no other for Ray
LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107  # bytes of a UNIX socket's path
#: What Ray appends to its folder, at most.
RAY_SOCKET = "/session_2026-01-01_00-00-00_000000_12345678/sockets/plasma_store"


@dataclass(frozen=True)
class NodeCheck:
    """What a machine is asked: whether it sees `marker` in `storage`, and reaches `url`."""

    storage: str | None = None
    marker: str | None = None
    url: str | None = None


def ray_folder() -> str:
    """Where a Ray of a launch's own keeps its files: as Ray would, unless its sockets had no room.

    Batch systems give each job a temporary directory with a path that is too long for them.

    Raises:
        UserError: there is no such folder.
    """
    asked = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or FOLDERS[0]
    for folder in (os.path.abspath(asked), *FOLDERS):
        path = f"{folder}/ray"
        there = path if os.path.exists(path) else folder
        short = len(os.fsencode(path + RAY_SOCKET)) <= LONGEST_SOCKET
        if short and os.access(there, os.W_OK | os.X_OK):
            return path
    most = LONGEST_SOCKET - len(RAY_SOCKET) - len("/ray")
    raise UserError(
        f"temporary directory {asked!r}: Ray needs one whose path has at most {most} characters "
        "and which can be written: set RAY_TMPDIR"
    )


def examine(check: NodeCheck) -> Json:
    """This machine, as plain values. Amounts in bytes, times in seconds."""
    made_with = provenance()
    return {
        "host": socket.gethostname(),
        "time": time.time(),
        "versions": made_with["versions"],
        "code": made_with["code"],
        "processor": made_with["processor"],
        "cpus": os.cpu_count(),
        "memory": psutil.virtual_memory().available,
        "disk": psutil.disk_usage("/tmp").free,
        "devices": _devices(),
        "authentication": os.environ.get("RAY_AUTH_MODE", "not set"),
        "marker": _sees(check),
        "storage": _storage_fault(check),
        "wandb": check.url and _reaches(check.url),
    }


def _devices() -> list[str]:
    import torch  # takes seconds, which a process that only asks other machines need not spend

    devices = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        devices.append(f"{name}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free")
    return devices


def _sees(check: NodeCheck) -> bool | None:
    if check.storage is None or check.marker is None:
        return None
    try:
        return open_storage(check.storage, create=False).read(check.marker) is not None
    except UserError:
        return False


def _storage_fault(check: NodeCheck) -> str | None:
    """Why a ledger cannot be written in the storage from here; None if it can, or is not seen."""
    if check.storage is None or not _sees(check):
        return None
    try:
        prove(open_storage(check.storage, create=False))
    except STORAGE_ERRORS as error:
        return reason_of(error)
    return None


def _reaches(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=WANDB_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # it answers
    except OSError:
        return False

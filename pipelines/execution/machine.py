"""What a machine is, and what a node is asked."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psutil

from pipelines.documents import Json, sha256
from pipelines.errors import UserError
from pipelines.execution.worker_config import NodeCheck
from pipelines.ledger.storage import STORAGE_ERRORS, is_url, open_storage, prove, reason_of
from pipelines.provenance import provenance
from pipelines.tracking.mode import has_key

WANDB_SECONDS = 5.0  # for W&B's server to answer
GPU_SECONDS = 30.0  # for nvidia-smi to answer, which starts a driver that sleeps
GPU_FIELDS = ("name", "memory.free", "memory.total", "mig.mode.current")
FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # where there is no other for Ray
LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107  # bytes of a UNIX socket's path
#: What Ray appends to its folder, at most.
RAY_SOCKET = "/session_2026-01-01_00-00-00_000000_12345678/sockets/plasma_store"


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


def fitness(check: NodeCheck) -> Json:
    """What decides whether this machine may run trials, as plain values."""
    made_with, (seen, refused) = provenance(), _look_for_storage(check)
    return {
        "versions": made_with["versions"],
        "code": made_with["code"],
        "marker": seen,
        "refused": refused,
        "storage": _storage_fault(check) if seen else None,
    }


def examine(check: NodeCheck) -> Json:
    """This machine, as plain values. Amounts in bytes, times in seconds."""
    return fitness(check) | {
        "host": socket.gethostname(),
        "time": time.time(),
        "processor": provenance()["processor"],
        "cpus": os.cpu_count(),
        "memory": psutil.virtual_memory().available,
        "disk": psutil.disk_usage("/tmp").free,
        "devices": devices(),
        "authentication": os.environ.get("RAY_AUTH_MODE", "not set"),
        "wandb": check.url and _reaches(check.url),
        "wandb_key": check.url and _has_key(),
    }


def devices() -> list[str]:
    """The machine's GPUs, in words.

    By the driver's own tool: CUDA would open a context on each, which takes memory from the trials
    that run there.
    """
    query = ["nvidia-smi", f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.check_output(
            query, stderr=subprocess.DEVNULL, text=True, timeout=GPU_SECONDS
        )
    except FileNotFoundError:
        return []
    except (OSError, subprocess.SubprocessError):
        return ["nvidia-smi fails"]
    return [_gpu(line) for line in told.splitlines() if line.strip()]


def _gpu(line: str) -> str:
    name, free, total, mig = (field.strip() for field in line.rsplit(",", 3))
    if not (free.isdigit() and total.isdigit()):  # "[N/A]": of some that share the host's memory
        return name
    free, total = (round(int(mebibytes) / 2**10) for mebibytes in (free, total))
    return f"{name}, {free} of {total} GiB free{', MIG' if mig == 'Enabled' else ''}"


def sees_storage(check: NodeCheck) -> bool | None:
    """Whether the storage is here, and is the study's; None where nothing is asked."""
    return _look_for_storage(check)[0]


def _look_for_storage(check: NodeCheck) -> tuple[bool | None, str | None]:
    """As `sees_storage`; and of an object store what it has against this machine, if it says so."""
    if check.storage is None or check.marker is None:
        return None, None
    try:
        content = open_storage(check.storage, create=False, known=True).read(check.marker)
    except STORAGE_ERRORS as error:
        return False, reason_of(error) if is_url(check.storage) else None
    except UserError as error:
        return False, str(error) if is_url(check.storage) else None
    return content is not None and check.digest in (None, sha256(content)), None


def _storage_fault(check: NodeCheck) -> str | None:
    """Why a ledger cannot be written in the storage from here; None if it can."""
    assert check.storage is not None
    try:
        prove(open_storage(check.storage, create=False, known=True))
    except STORAGE_ERRORS as error:
        return reason_of(error)
    return None


def _has_key() -> bool:
    try:
        return has_key()
    except UserError:  # it is malformed
        return False


def _reaches(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=WANDB_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # it answers
    except OSError:
        return False

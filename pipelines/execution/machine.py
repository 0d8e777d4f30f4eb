"""What a machine is, and what a node is asked."""

from __future__ import annotations

import os
import shutil
import socket
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import torch

from pipelines.errors import UserError
from pipelines.ledger.storage import open_storage
from pipelines.provenance import provenance

Json = dict[str, Any]
WANDB_SECONDS = 5.0


def examine(check: NodeCheck) -> Json:
    """This machine, as plain values. Amounts in bytes, times in seconds."""
    made_with = provenance()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return {
        "host": socket.gethostname(),
        "time": time.time(),
        "versions": made_with["versions"],
        "code": made_with["code"],
        "processor": made_with["processor"],
        "cpus": os.cpu_count(),
        "memory": memory,
        "disk": shutil.disk_usage("/tmp").free,
        "devices": _devices(),
        "authentication": os.environ.get("RAY_AUTH_MODE", "not set"),
        "marker": _sees(check),
        "wandb": check.url and _reaches(check.url),
    }


def _devices() -> list[str]:
    found = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        found.append(f"{name}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free")
    return found


def _sees(check: NodeCheck) -> bool | None:
    if check.storage is None or check.marker is None:
        return None
    try:
        return open_storage(check.storage, create=False).read(check.marker) is not None
    except UserError:
        return False


def _reaches(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=WANDB_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # it answers
    except OSError:
        return False


@dataclass(frozen=True)
class NodeCheck:
    """For `doctor`: what a machine is asked: whether it sees `marker` in `storage`, and answers
    from `url`.
    """

    storage: str | None = None
    marker: str | None = None
    url: str | None = None

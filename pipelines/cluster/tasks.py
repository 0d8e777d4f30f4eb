"""What runs on the nodes of a Ray cluster. Loads torch only where a trial runs."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from pipelines import own_modules
from pipelines.execution.packing import Probed, ProbeSpecs
from pipelines.execution.worker_config import WorkerConfig
from pipelines.trial_documents import Rung

ASK_SECONDS = 1.0  # between a worker's questions whether to stop


def ray_trial(config: dict[str, Any], worker_config: WorkerConfig, flag: Any) -> dict[str, Any]:
    """One job in a Ray worker.

    Its outcome is in the ledger before this returns, which may never happen.
    """
    from pipelines.execution.worker import run_attempt

    stopping, job = StopPoller(flag), config
    if not stopping():
        rung = Rung(*job["rung"]) if job["rung"] else None
        run_attempt(worker_config, job["spec"], job["attempt"], stopping, job["gpus"], rung)
    return {"done": True}


class StopFlag:
    """An actor beside the driver, by which it tells all workers to stop."""

    def __init__(self) -> None:
        self._raised = False

    def raise_(self) -> None:
        """From now on, all are to stop."""
        self._raised = True

    def raised(self) -> bool:
        """Whether all are to stop."""
        return self._raised


class StopPoller:
    """A worker's question whether to stop.

    Without a driver to answer there is nobody to work for.
    """

    def __init__(self, flag: Any) -> None:
        self._flag = flag
        self._asked = time.monotonic() - ASK_SECONDS
        self._answer = False

    def __call__(self) -> bool:
        """Ask, if it is time to; the last answer otherwise."""
        if not self._answer and time.monotonic() - self._asked >= ASK_SECONDS:
            try:
                self._answer = bool(ray.get(self._flag.raised.remote(), timeout=ASK_SECONDS))
            except GetTimeoutError:
                pass  # a slow network is no reason to stop
            except RayError:
                self._answer = True
            self._asked = time.monotonic()
        return self._answer


def probe_node(specs: ProbeSpecs, worker_config: WorkerConfig) -> Probed:
    """`probe`, in a worker."""
    import torch

    from pipelines.execution.probe import probe

    own_modules.search(worker_config.modules.values())
    return probe(specs, torch.device(worker_config.device))


def examine_node(check: Any) -> dict[str, Any]:
    """What `doctor` asks a node."""
    from pipelines.execution.machine import examine

    return examine(check)

"""What runs on the nodes of a Ray cluster. Loads torch only where a trial runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import ray
from ray._private.state import state
from ray.exceptions import GetTimeoutError, RayError

from pipelines import own_modules
from pipelines.execution.jobs import Lost
from pipelines.execution.packing import Probed, ProbeSpecs
from pipelines.execution.worker_config import WorkerConfig
from pipelines.trial_documents import Rung

ASK_SECONDS = 1.0  # between a worker's questions whether to stop
Wish = Literal["go on", "stop", "leave"]  # of all; leave: of one node, which Ray drains

_examined: set[tuple[str | None, ...]] = set()  # checks that this process's node has passed


@dataclass(frozen=True)
class Ending:
    """How a job ended, as its worker tells it.

    node: Ray's id. stopped: it was asked to, or nobody answered any more. leaves: Ray drains the
    node. faults: why the node cannot run trials, in a line each; then nothing has run. lost: what
    the attempt was lost with, where its worker could not record it.
    """

    node: str
    stopped: bool = False
    leaves: bool = False
    faults: tuple[str, ...] = ()
    lost: Lost | None = None


def ray_trial(config: dict[str, Any], worker_config: WorkerConfig, flag: Any) -> dict[str, Any]:
    """One job in a Ray worker.

    Its outcome is in the ledger before this returns, which may never happen.
    """
    return {"done": True, "ending": _job(config, worker_config, flag)}


def _job(config: dict[str, Any], worker_config: WorkerConfig, flag: Any) -> Ending:
    from pipelines.execution.worker import run_attempt

    spec, node = config["spec"], ray.get_runtime_context().get_node_id()
    stopping = StopPoller(flag, node)
    lost = None
    if not stopping():
        if faults := node_faults(worker_config, spec):
            return Ending(node, faults=faults)
        rung = Rung(*config["rung"]) if config["rung"] else None
        attempt, gpus = config["attempt"], config["gpus"]
        lost = run_attempt(worker_config, spec, attempt, stopping, gpus, rung)
        if lost is not None:  # maybe for the node's sake, which may have changed
            _examined.clear()
            if faults := node_faults(worker_config, spec):
                return Ending(node, faults=faults)
    return Ending(node, stopping.answer != "go on", stopping.answer == "leave", lost=lost)


def node_faults(worker_config: WorkerConfig, spec: Any) -> tuple[str, ...]:
    """Why this node must not run a study's trials: `doctor`'s errors, and data that it lacks.

    The storage is looked for before each trial: a mount may go. The rest is before the first one.
    """
    from pipelines.cluster.doctor import errors_of
    from pipelines.execution.machine import fitness, sees_storage
    from pipelines.execution.worker import data_fault

    check = worker_config.check
    known = (check.storage, check.digest)
    if known in _examined and sees_storage(check) is not False:
        return ()
    _examined.discard(known)
    faults = errors_of(fitness(check), check.wanted)
    if not faults and (reason := data_fault(worker_config, spec)):
        faults = [f"cannot read the study's data ({reason}): put them there, as they are here"]
    if not faults:
        _examined.add(known)
    return tuple(faults)


class StopFlag:
    """An actor beside the driver, by which it tells all workers to stop."""

    def __init__(self) -> None:
        self._raised = False
        self._leaving: set[str] = set()
        self._looked = float("-inf")

    def raise_(self) -> None:
        """From now on, all are to stop."""
        self._raised = True

    def wish(self, node: str | None = None) -> Wish:
        """Whether all are to stop, or those on a node that will soon be gone."""
        if self._raised:
            return "stop"
        if time.monotonic() - self._looked >= ASK_SECONDS:
            self._leaving, self._looked = leaving_nodes(), time.monotonic()
        return "leave" if node in self._leaving else "go on"


class StopPoller:
    """A worker's question whether to stop.

    Without a driver to answer there is nobody to work for.
    """

    def __init__(self, flag: Any, node: str | None = None) -> None:
        self._flag, self._node = flag, node
        self._asked = time.monotonic() - ASK_SECONDS
        self.answer: Wish = "go on"

    def __call__(self) -> bool:
        """Ask, if it is time to; the last answer otherwise."""
        if self.answer == "go on" and time.monotonic() - self._asked >= ASK_SECONDS:
            try:
                self.answer = ray.get(self._flag.wish.remote(self._node), timeout=ASK_SECONDS)
            except GetTimeoutError:
                pass  # a slow network is no reason to stop
            except RayError:
                self.answer = "stop"
            self._asked = time.monotonic()
        return self.answer != "go on"


def leaving_nodes() -> set[str]:
    """Ids of the nodes that Ray drains: preempted, say, or idle ones that an autoscaler ends."""
    try:
        return set(state.get_draining_nodes())
    except Exception:  # no part of Ray's public interface: whatever it does, trials go on
        return set()


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

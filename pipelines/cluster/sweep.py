"""Runs a study's trials on Ray Tune: on this machine, or on any Ray cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread
from typing import Any

from pipelines.cluster.connection import (  # sets Ray's switches; before ray itself
    capacity,
    connected,
    quiet,
)

# isort: split
import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.cluster.tasks import StopFlag, probe_node
from pipelines.errors import UserError
from pipelines.execution.job_queue import JobQueue
from pipelines.execution.packing import described, pack
from pipelines.execution.probe import probe_specs
from pipelines.execution.worker_config import Resources, WorkerConfig
from pipelines.ledger.ledger import TrialRecord


def run_on_ray(
    queue: JobQueue,
    worker_config: WorkerConfig,
    resources: Resources,
    address: str | None = None,
    on_end: Callable[[TrialRecord], None] = lambda trial: None,
    stop: Callable[[], bool] = lambda: False,
    on_connect: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Run all that is missing, or until `stop` is true: then running trials leave a checkpoint,
    within seconds.

    address: of a Ray cluster; without one, a Ray of this launch's own is started on this machine,
    and ended. on_connect: called before the first trial; may refuse. say: told in one line what a
    probe of the GPU has found.

    Raises:
        UserError: no cluster answers there, or no trial fits on this machine.
    """
    quiet()  # first: what is imported aside puts the filters of warnings back as it found them
    with _importing("pipelines.cluster.tune_run"), connected(address):
        if stop():  # which also takes back the signals that Ray took as it started
            return
        on_connect()
        gpus = resources.gpus
        if gpus == "auto":
            gpus = _proposed(queue, worker_config, resources.cpus, stop, say)
            if gpus is None:
                return
        queue.gpus = gpus
        needs = {"CPU": resources.cpus, "GPU": gpus}
        if address is None and not capacity(needs):
            there = {name: ray.cluster_resources().get(name, 0) for name in needs}
            raise UserError(
                f"a trial needs {needs}, this machine has {there}: see --cpus-per-trial"
            )
        flag = _flag()
        from pipelines.cluster.tune_run import Stop, fit

        with tempfile.TemporaryDirectory(prefix="untuned-") as scratch:
            fit(queue, worker_config, resources, on_end, Stop(stop, flag), scratch)


@contextmanager
def _importing(module: str) -> Iterator[None]:
    """Load a module aside: Tune takes seconds, in which Ray's own processes start."""

    def load() -> None:
        with suppress(Exception):  # then the import that needs it says why
            import_module(module)

    aside = Thread(target=load)
    aside.start()
    try:
        yield
    finally:
        aside.join()


def _proposed(
    queue: JobQueue,
    worker_config: WorkerConfig,
    cpus: float,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> float | None:
    """GPUs per trial by a probe on the first GPU that is free; None if asked to stop meanwhile.

    Raises:
        UserError: it failed, or an arm does not fit on the GPU.
    """
    # The process ends with the call, and so does its hold on the GPU's memory.
    remote = ray.remote(num_cpus=cpus, num_gpus=1, max_calls=1, max_retries=0)(probe_node)
    asked = remote.remote(probe_specs(queue.study), worker_config.device)
    while not ray.wait([asked], timeout=1.0)[0]:
        if stop():
            ray.cancel(asked, force=True)
            return None
    try:
        costs, total, unmeasured = ray.get(asked)
    except RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(
            f"--gpus-per-trial auto: the probe failed ({reason}): give a number"
        ) from error
    for line in unmeasured:
        say(line)
    if not costs:
        say("GPU: no arm could be measured; a trial has a GPU to itself")
        return 1.0
    packing = pack(costs, total, int(_cores_per_gpu() / cpus))
    say(described(costs, total, packing))
    return packing.gpus


def _cores_per_gpu() -> float:
    """On the node where they are fewest."""
    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return min((r.get("CPU", 0.0) / r["GPU"] for r in found if "GPU" in r), default=0.0)


def _flag() -> Any:
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    flag = ray.remote(num_cpus=0)(StopFlag).options(scheduling_strategy=here).remote()
    flag.raised.remote()  # its first answer takes imports: they are done when a worker asks
    return flag

"""Runs a study's trials on Ray Tune: on this machine, or on any Ray cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread
from typing import Any

from pipelines.cluster.connection import (  # sets Ray's switches; before ray itself
    NONE,
    connected,
    quiet,
    servers_here,
)

# isort: split
import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.cluster.doctor import refuse_unfit
from pipelines.cluster.nodes import NodeWatch, gpus_in_use, live_nodes, trials_on
from pipelines.cluster.ray_process import RayWork
from pipelines.cluster.tasks import StopFlag, probe_node
from pipelines.cluster.watchdog import watchdog
from pipelines.errors import UserError
from pipelines.execution.jobs import Jobs, OnEnd
from pipelines.execution.packing import ProbeSpecs, described, pack
from pipelines.execution.signals import ShouldStop
from pipelines.execution.worker_config import Resources, WorkerConfig
from pipelines.study.node_labels import ANY


@contextmanager
def connected_with_tune(address: str | None, modules: Mapping[str, str] = NONE) -> Iterator[None]:
    """Ray as of `connected`, and Tune loaded, which takes seconds, while Ray's processes start.

    Raises:
        UserError: no cluster answers at the address.
    """
    quiet()  # first: what is imported aside puts the filters of warnings back as it found them
    with _importing("pipelines.cluster.tune_run"), connected(address, modules):
        yield


def work_on_ray(
    work: RayWork, queue: Jobs, on_end: OnEnd, say: Callable[[str], None], stop: ShouldStop
) -> None:
    """Connect, look at the machines, settle what a trial takes, and run all that is missing.

    say: is told in a line each what the user should know.

    Raises:
        UserError: no cluster answers, or a machine is not fit for the study.
    """
    with (
        connected_with_tune(work.address, work.worker_config.modules),
        watchdog(servers_here()),
    ):
        if work.address and not work.nodes_checked:
            refuse_unfit(work.address, work.worker_config, say)
        gpus, shared = work.gpus, gpus_in_use()
        if gpus == "auto":
            unshared = Resources(work.cpus, 1.0, None, work.accelerator, work.labels)
            gpus = proposed_gpus(work.probed, work.worker_config, unshared, stop, say)
        if gpus is None or stop():
            return
        resources = Resources(work.cpus, gpus, work.concurrent, work.accelerator, work.labels)
        if work.address is None:  # a cluster may grow
            refuse_what_never_fits(resources)
        alone = work.address is None
        run_on_ray(
            queue, work.worker_config, resources, on_end, stop, say, alone=alone, shared=shared
        )


def run_on_ray(
    queue: Jobs,
    worker_config: WorkerConfig,
    resources: Resources,
    on_end: OnEnd = lambda trial: None,
    stop: ShouldStop = lambda: False,
    say: Callable[[str], None] = lambda line: None,
    *,
    alone: bool = False,
    shared: bool = False,
) -> None:
    """Run all that is missing, or until `stop` is true.

    Then running trials leave a checkpoint, within seconds. resources: that each trial takes. say:
    is told in a line each what there is of nodes, and what becomes of them. alone: this machine is
    the only one. shared: others use some of the GPUs.
    """
    from pipelines.cluster.tune_run import DriverStopper, fit

    nodes = NodeWatch(resources, worker_config.check, say, alone=alone, shared=shared)
    nodes.look()
    stopper = DriverStopper(stop, _flag(), nodes)
    with tempfile.TemporaryDirectory(prefix="untuned-") as scratch:
        fit(queue, worker_config, resources, on_end, stopper, scratch)


def refuse_what_never_fits(resources: Resources) -> None:
    """On this machine, which does not grow.

    Raises:
        UserError: a trial needs more than there is.
    """
    if not any(trials_on(node, resources) for node in live_nodes()):
        there = {name: ray.cluster_resources().get(name, 0) for name in resources.needs}
        raise UserError(
            f"a trial needs {resources.needs}, this machine has {there}: "
            "see --cpus-per-trial and --gpus-per-trial"
        )


def proposed_gpus(
    specs: ProbeSpecs,
    worker_config: WorkerConfig,
    alone: Resources,
    stop: ShouldStop,
    say: Callable[[str], None],
) -> float | None:
    """GPUs per trial by a probe on the first GPU that is free; None if asked to stop meanwhile.

    specs: to measure. alone: what a trial takes that has a GPU to itself. say: is told in a line
    each what was measured, and what could not be.

    Raises:
        UserError: the probe failed, or an arm does not fit on the GPU.
    """
    # The process ends with the call, and so does its hold on the GPU's memory.
    options: dict[str, Any] = {"num_cpus": alone.cpus, "num_gpus": 1}
    if alone.accelerator != ANY:
        options["accelerator_type"] = alone.accelerator
    if alone.labels:
        options["label_selector"] = dict(alone.labels)
    remote = ray.remote(**options, max_calls=1, max_retries=0)(probe_node)
    probing = remote.remote(specs, worker_config)
    while not ray.wait([probing], timeout=1.0)[0]:
        if stop():
            ray.cancel(probing, force=True)
            return None
    try:
        costs, total, unmeasured = ray.get(probing)
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
    packing = pack(costs, total, int(_cores_per_gpu() / alone.cpus))
    say(described(costs, total, packing))
    return packing.gpus


def _cores_per_gpu() -> float:
    """On the node where they are fewest."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return min((n.get("CPU", 0.0) / n["GPU"] for n in nodes if "GPU" in n), default=0.0)


@contextmanager
def _importing(module: str) -> Iterator[None]:
    """Load a module aside."""

    def load() -> None:
        with suppress(Exception):  # then the import that needs it says why
            import_module(module)

    aside = Thread(target=load)
    aside.start()
    try:
        yield
    finally:
        aside.join()


def _flag() -> Any:
    """On the driver's own node, with which it goes: workers then know that nobody waits."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    flag = ray.remote(num_cpus=0)(StopFlag).options(scheduling_strategy=here).remote()
    flag.wish.remote()  # its first answer takes imports: they are done when a worker asks
    return flag

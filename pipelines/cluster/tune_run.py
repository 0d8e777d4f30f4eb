"""One experiment of Ray Tune: what is missing of a study, on the Ray that is connected."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import ray.air.integrations.wandb  # noqa: F401  # tune.run needs it; then workers would wait
from ray import tune
from ray.tune.execution.cluster_info import _is_ray_cluster

from pipelines.cluster.exporter import Exporter
from pipelines.cluster.nodes import NodeWatch, selector
from pipelines.cluster.searcher import FailureCallback, QueueSearcher
from pipelines.cluster.tasks import ray_trial
from pipelines.execution.jobs import Jobs, OnEnd
from pipelines.execution.signals import ShouldStop
from pipelines.execution.worker_config import Resources, WorkerConfig

PENDING = "TUNE_MAX_PENDING_TRIALS_PG"  # how many trials may wait for a machine; Tune's own is 1
WAITING = "64"  # for so many an autoscaler starts machines at once
GRACE_SECONDS = 20.0  # for the running trials to leave a checkpoint when asked to stop


def fit(
    queue: Jobs,
    worker_config: WorkerConfig,
    resources: Resources,
    on_end: OnEnd,
    stopper: DriverStopper,
    scratch: str,
) -> None:
    """One fresh experiment, whose searcher hands out what is missing.

    resources: of a trial. scratch: a folder for Tune's own files, which nobody reads.
    """
    if _is_ray_cluster():  # of `ray up`, which grows
        os.environ.setdefault(PENDING, WAITING)
    search = QueueSearcher(queue, resources, on_end, stopper.asked, stopper.nodes)
    trainable = tune.with_parameters(ray_trial, worker_config=worker_config, flag=stopper.flag)

    def needs(job: dict[str, Any]) -> tune.PlacementGroupFactory:
        """Of this very job: actors are used again for jobs of the same size and nodes only."""
        bundle = replace(resources, gpus=job["gpus"]).needs
        where = selector(resources.labels, job["avoided"])
        return tune.PlacementGroupFactory([bundle], "PACK", **where)

    tune.run(
        tune.with_resources(trainable, needs),
        name="attempts",
        storage_path=scratch,
        num_samples=-1,
        search_alg=search,
        stop=stopper,
        callbacks=[FailureCallback(search), Exporter(queue, worker_config.study)],
        max_concurrent_trials=resources.concurrent,
        reuse_actors=True,
        raise_on_failed_trial=False,
        verbose=0,
    )
    if search.error:
        raise search.error


class DriverStopper(tune.Stopper):
    """The driver's side: passes the wish to stop on to the workers, and gives them some time.

    nodes: are looked at as often as Tune asks.
    """

    def __init__(self, wanted: ShouldStop, flag: Any, nodes: NodeWatch) -> None:
        self._wanted, self.flag, self.nodes = wanted, flag, nodes
        self._since: float | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No trial is stopped for its results."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles it for a restore that nobody asks for."""
        return {}

    def asked(self) -> bool:
        """Whether to hand out no more trials."""
        if self._since is None and self._wanted():
            self._since = time.monotonic()
            self.flag.raise_.remote()
        return self._since is not None

    def stop_all(self) -> bool:
        """Whether to wait no longer; Tune asks at each of its steps."""
        self.nodes.look()
        return self.asked() and time.monotonic() - (self._since or 0) > GRACE_SECONDS

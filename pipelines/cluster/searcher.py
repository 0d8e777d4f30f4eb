"""A Ray Tune searcher that takes its suggestions from a job queue.

Ray executes; it does not remember.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.tune.search import Searcher

from pipelines.cluster.nodes import NodeWatch
from pipelines.cluster.tasks import Ending
from pipelines.errors import UserError
from pipelines.execution.jobs import FailureCause, Jobs, Lost, OnEnd
from pipelines.execution.packing import spread
from pipelines.execution.signals import ShouldStop
from pipelines.execution.worker_config import Resources

# The last: all processes of a node are gone at once, and Ray has not noticed yet that it is the
# node. Of a process that dies alone it says that its "worker process has died".
SIGNS_OF_A_LOST_NODE = ("node has died", "node was terminated", "is temporarily unavailable")


class QueueSearcher(Searcher):
    """Each suggestion is a job of the queue, each end is looked up in the ledger.

    What Ray thinks of it does not matter. Tune's own snapshots are of no use to it: the next launch
    starts afresh from the ledger. An exception of the queue (its storage is away, say) ends the
    experiment, and is found in `error`: Tune would bury it. resources: of a trial. nodes: which of
    them to avoid.
    """

    def __init__(
        self,
        queue: Jobs,
        resources: Resources,
        on_end: OnEnd,
        stopping: ShouldStop,
        nodes: NodeWatch,
    ) -> None:
        super().__init__(metric="done", mode="max")  # Tune wants one; nothing is decided by it
        self._queue, self._resources, self._nodes = queue, resources, nodes
        self._on_end, self._stopping = on_end, stopping
        self._live: dict[str, str] = {}
        self.error: Exception | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next job; None to be asked again later."""
        if self.error or self._stopping() or self._queue.finished:
            return Searcher.FINISHED
        try:
            gpus, whole = self._resources.gpus, self._nodes.whole_gpus
            gpus = spread(gpus, self._resources.concurrent or 0, whole)
            job = self._queue.next(gpus, whole)
        except Exception as error:
            self.error = error
            return Searcher.FINISHED
        if job is None:
            return Searcher.FINISHED if self._queue.finished else None
        self._live[trial_id] = job.spec["key"]
        return job._asdict() | {"avoided": self._nodes.avoided()}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A worker has come back; `FailureCallback` hears of those that were lost."""
        if not error:
            ending: Ending = (result or {})["ending"]
            try:
                self._nodes.heard(ending)
            except UserError as unfit:
                self.error = unfit
            self.ended(trial_id, self._lost(ending))

    def _lost(self, ending: Ending) -> Lost | None:
        """What an attempt that has no outcome was lost with."""
        if ending.lost is not None:
            return ending.lost
        if ending.faults or ending.leaves:
            return "node"
        if not ending.stopped:
            return "unseen"
        # As it was asked to, or as it lost sight of its driver.
        return None if self._stopping() else "node"

    def ended(self, trial_id: str, lost: Lost | None) -> None:
        """An attempt ended; tell the queue."""
        try:
            trial = self._queue.ended(self._live.pop(trial_id), lost)
            if trial is not None:
                self._on_end(trial)
        except Exception as error:
            self.error = error

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its searcher for a restore that nobody asks for."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Tune expects a file."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class FailureCallback(tune.Callback):
    """Tells the searcher why Ray lost an attempt, which Tune tells callbacks only."""

    def __init__(self, search: QueueSearcher) -> None:
        self._search = search

    def on_trial_error(
        self, iteration: int, trials: list[RayTrial], trial: RayTrial, **info: Any
    ) -> None:
        """A trial's actor died, or its task raised."""
        self._search.ended(trial.trial_id, failure_cause(str(trial.get_error())))


def failure_cause(error: str) -> FailureCause:
    """What an attempt was lost with, from the text of Ray's error, which says it nowhere else."""
    if any(sign in error for sign in SIGNS_OF_A_LOST_NODE):
        return "node"
    return "memory" if "running low on memory" in error else "worker"

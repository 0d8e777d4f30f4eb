"""What Ray's exporter shows to Prometheus of a study: how each arm stands, by name of the study."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.util import metrics

from pipelines.execution.jobs import ArmCounts, Jobs

SEND_SECONDS = 5.0  # between two looks at the queue; Ray itself passes them on every 10
TAGS = ("study", "arm")


class Exporter(tune.Callback):
    """Looks at the queue, and at the trials that Tune runs, and tells Ray of them.

    Ray passes them on to the agent of this node, where `ray[default]` is installed; elsewhere
    nobody hears of them. docs/clusters.md names them, with "ray_" before, as they arrive.
    """

    def __init__(self, queue: Jobs, study: str) -> None:
        self._queue, self._study = queue, study
        self._sent = -math.inf
        self._totals: dict[tuple[str, str], int] = {}  # that each counter has been told, by arm
        self._planned = metrics.Gauge("untuned_trials_planned", "Trials to run in all", TAGS)
        self._done = metrics.Gauge("untuned_trials_done", "Those of them that ended", TAGS)
        self._failed = metrics.Gauge("untuned_trials_failed", "Trials that failed", TAGS)
        self._running = metrics.Gauge("untuned_trials_running", "Trials that run now", TAGS)
        self._attempts = metrics.Counter("untuned_attempts", "Attempts of this launch", TAGS)
        self._passes = metrics.Counter(
            "untuned_passes", "Examples that trials have passed through models, by cost", TAGS
        )

    def on_step_end(self, iteration: int, trials: list[RayTrial], **info: Any) -> None:
        """Tune has looked at its trials, which it does all the time."""
        if time.monotonic() - self._sent >= SEND_SECONDS:
            self._send(trials)

    def on_experiment_end(self, trials: list[RayTrial], **info: Any) -> None:
        """Nothing runs any more."""
        self._send(trials)

    def _send(self, trials: list[RayTrial]) -> None:
        self._sent = time.monotonic()
        running = Counter(t.config["spec"]["arm"] for t in trials if t.status == RayTrial.RUNNING)
        for arm, counts in self._queue.counts().items():
            self._tell(arm, counts, running[arm])

    def _tell(self, arm: str, counts: ArmCounts, running: int) -> None:
        tags = {"study": self._study, "arm": arm}
        self._planned.set(counts.planned, tags)
        self._done.set(counts.done, tags)
        self._failed.set(counts.failed, tags)
        self._running.set(running, tags)
        for counter, total in ((self._attempts, counts.attempts), (self._passes, counts.passes)):
            told = self._totals.get((counter.info["name"], arm), 0)
            if total > told:  # a counter takes nothing but what is more
                counter.inc(total - told, tags)
                self._totals[counter.info["name"], arm] = total

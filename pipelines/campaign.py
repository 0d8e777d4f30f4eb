"""A launch of a study: planner and ledger together. Executors take jobs from it and tell it when they ended."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, NamedTuple

from pipelines.ledger import Ledger, Trial
from pipelines.planner import Planner
from pipelines.study import Protocol, Study

LOSSES = 3


class Job(NamedTuple):
    """An attempt to run: the trial's spec, and the attempt's number."""

    spec: dict[str, Any]
    attempt: int


def score_of(trial: Trial, protocol: Protocol) -> float | None:
    """A finished trial's score on val under the study's epoch rule; nan if it has no val, None if it failed."""
    if trial.result is None:
        return None
    val = trial.result["val"]
    return math.nan if val is None else val[protocol.epoch]


def plan(study: Study, protocol: str, trials: dict[str, Trial]) -> Planner:
    """A planner that knows what the ledger holds."""
    outcomes = {
        key: score_of(trial, study.protocol)
        for key, trial in trials.items()
        if trial.state in ("completed", "diverged", "failed")
    }
    suggested = {
        (s["arm"], s["repeat"], s["index"], s["space"]): s["config"]
        for s in (trial.spec for trial in trials.values())
        if s["phase"] == "search"
    }
    return Planner(study, protocol, outcomes, suggested)


class Campaign:
    """Hands out jobs. Specs are written before they run, and only here are attempts numbered."""

    def __init__(self, study: Study, protocol: str, ledger: Ledger) -> None:
        self.study, self.ledger = study, ledger
        self.trials = ledger.trials()
        self.planner = plan(study, protocol, self.trials)
        self._losses: Counter[str] = Counter()
        self._jobs: dict[str, Job] = {}

    def next(self) -> Job | None:
        """A job to run now; None if there is none at the moment (see `finished`)."""
        spec = self.planner.ask()
        if spec is None:
            return None
        self.ledger.add_trial(spec)
        job = Job(spec, self.ledger.new_attempt(spec["key"]))
        self._jobs[spec["key"]] = job
        return job

    def ended(self, key: str) -> Trial:
        """A job ended: take its outcome from the ledger. One without an outcome was lost with its worker."""
        job = self._jobs.pop(key)
        trial = self.ledger.trial(key)
        assert trial is not None
        if trial.state == "started":
            self._losses[key] += 1
            if self._losses[key] < LOSSES:
                self.planner.again(key)
                return trial
            lost = RuntimeError(f"the worker died {LOSSES} times; see the log of the node")
            self.ledger.attempt(key, job.attempt).fail(lost, "node")
            trial = self.ledger.trial(key)
            assert trial is not None
        self.trials[key] = trial
        self.planner.tell(key, score_of(trial, self.study.protocol))
        return trial

    @property
    def finished(self) -> bool:
        """Everything asked for has run."""
        return self.planner.finished

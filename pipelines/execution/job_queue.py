"""A launch's jobs: planner and ledger together.

Executors take jobs from it and tell it when they ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from pipelines.analysis.record import Course
from pipelines.execution.early_stop import EarlyStop
from pipelines.execution.jobs import ArmCounts, FailureCause, Job, Lost
from pipelines.execution.packing import grown, spread
from pipelines.ledger.attempt import Failure
from pipelines.ledger.damage import RETRY
from pipelines.ledger.layout import SPEC
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.record import TrialRecord
from pipelines.planning.brackets import NO_COURSE
from pipelines.planning.resume import courses_of, is_stopped_early, plan, score_of, second_values
from pipelines.study.study_file import Study

TRIES = 3  # attempts per launch at a trial that fails for reasons that may pass
DEATHS = 5  # of the worker at one trial, without any progress in between; lost nodes do not count
INDEXED = 500  # trials that end between two additions to the index
#: Classes of errors that may pass; code and options stay as they are.
PASSING = ("memory", "data", "time")
#: What became of a trial that is given up, and the class of its error.
LAST_WORDS: dict[FailureCause, tuple[str, str]] = {
    "memory": ("its worker was killed for the node's memory", "memory"),
    "worker": ("its worker died", "node"),
    "unseen": ("its worker ended, and what it wrote is not to be seen in the storage", "node"),
}


class LostAttempt(Exception):
    """An attempt ended without an outcome too often."""


class JobQueue:
    """Hands out jobs. Specs are written before they run, and only here are attempts numbered.

    retry: which trials of earlier launches are run again, under their own keys: "failed",
    "diverged", or "damaged": a file beside the result is. A trial that runs out of memory on its
    share of a GPU gets twice the share.

    damaged: files that are gone or not as they were written, as the launch found them.
    """

    def __init__(
        self, study: Study, protocol: str, ledger: Ledger, retry: Collection[str] = ()
    ) -> None:
        self.study, self.ledger = study, ledger
        # What is to be restored has first to be found: every file is read.
        recorded, self.damaged = ledger.contents("all" if "damaged" in retry else "changed")
        restored = {key for key in recorded if "damaged" in retry and self._to_restore(key)}
        again = {key for key in recorded if recorded[key].state in retry} | restored
        self.planner = plan(study, protocol, recorded, again, ledger.histories)
        self.trials = {key: trial for key, trial in recorded.items() if key not in again}
        self._early_stop = EarlyStop(self.planner, self.trials.values())
        self._set_aside = {key for key in again if recorded[key].result is not None}
        # The index vouches for the files of its trials.
        self._to_index = [t for key, t in self.trials.items() if key not in self.damaged]
        self._tries: Counter[str] = Counter()
        self._attempts: Counter[str] = Counter()  # of this launch, by arm
        self._deaths: Counter[str] = Counter()
        self._reached: Counter[str] = Counter()  # steps, at the furthest checkpoint seen so far
        self._jobs: dict[str, Job] = {}
        self._grown: dict[str, float] = {}  # GPUs of trials that ran out of memory

    def next(self, gpus: float = 0.0, whole: int = 0) -> Job | None:
        """A job to run now; None if there is none at the moment (see `finished`).

        gpus: of a trial, unless it has run out of memory with as many, or GPUs would idle else;
        whole: of these, as of `spread`.
        """
        while (spec := self.planner.ask()) is not None:
            self.ledger.add_trial(spec)
            if not self._is_finished(spec["key"]):
                break
        else:
            return None
        key = spec["key"]
        if key in self._set_aside:
            self._set_aside.remove(key)
            self.ledger.set_result_aside(key, self._to_restore(key))
        left = self.planner.planned.total() - self.planner.done.total()
        share = max(self._grown.get(key, 0.0), spread(gpus, left, whole))
        attempt, rung = self.ledger.new_attempt(key), self.planner.rung(key)
        self._jobs[key] = Job(spec, attempt, share, rung)
        self._tries[key] += 1
        self._attempts[spec["arm"]] += 1
        return self._jobs[key]

    def ended(self, key: str, lost: Lost | None = None) -> TrialRecord | None:
        """A job ended: take its outcome from the ledger.

        lost: what the attempt was lost with; None if it ended by itself. Returns None if there is
        no outcome yet: the trial runs again, now or later. One that has stopped at a rung goes on
        if it is among those that do.
        """
        job = self._jobs.pop(key)
        if isinstance(lost, Failure):
            self.ledger.attempt(key, job.attempt).record(lost)
            lost = None
        trial = self.ledger.trial(key)
        assert trial is not None
        if trial.state == "started":
            if lost is None:  # it was asked to stop
                return None
            self._tries[key] -= 1
            if trial.steps > self._reached[key]:
                self._reached[key], self._deaths[key] = trial.steps, 0
            self._deaths[key] += lost != "node"
            if self._deaths[key] < DEATHS:
                self.planner.again(key)
                return None
            trial = self._give_up(job, lost)
        elif trial.state == "failed" and (self._grows(trial, job) or self._may_pass(trial)):
            self.planner.again(key)
            return None
        self.trials[key] = trial
        if trial.state == "stopped":
            self._tries[key] = 0
            self._early_stop.ended(trial)
            self.planner.pause(key, self._course_of(trial))
            return trial
        self._tell(trial)
        self._to_index.append(trial)
        if len(self._to_index) >= INDEXED:
            self.write_index()
        return trial

    def _tell(self, trial: TrialRecord) -> None:
        """The planner, how a trial ended."""
        course = self._course_of(trial) if is_stopped_early(self.study, trial.spec) else None
        second = second_values(self.study, [trial], self.ledger.histories).get(trial.key)
        self.planner.tell(trial.key, score_of(trial, self.study.protocol), course, second)
        self._early_stop.ended(trial)

    def _course_of(self, trial: TrialRecord) -> Course:
        return courses_of(self.study, [trial], self.ledger.histories).get(trial.key, NO_COURSE)

    def _to_restore(self, key: str) -> list[str]:
        """Damaged files of a trial that only another attempt makes anew."""
        return [name for name, remedy in self.damaged.get(key, {}).items() if remedy == RETRY]

    def _is_finished(self, key: str) -> bool:
        """Whether a trial has a result after all: its spec was damaged, and is written anew."""
        if SPEC not in self.damaged.get(key, ()):
            return False
        trial = self.ledger.trial(key)
        if trial is None or trial.result is None:
            return False
        self.trials[key] = trial
        self._tell(trial)
        return True

    def write_index(self) -> None:
        """Add what ended to the ledger's index: then `status` and the next launch are fast."""
        self.ledger.index(self._to_index)
        self._to_index.clear()

    def _grows(self, trial: TrialRecord, job: Job) -> bool:
        """Whether a trial that ran out of memory gets more of a GPU; then this was no try."""
        assert trial.error is not None
        if trial.error["class"] != "memory" or grown(job.gpus) == job.gpus:
            return False
        self._grown[trial.key] = grown(job.gpus)
        self._tries[trial.key] -= 1
        return True

    def _may_pass(self, trial: TrialRecord) -> bool:
        assert trial.error is not None
        return trial.error["class"] in PASSING and self._tries[trial.key] < TRIES

    def _give_up(self, job: Job, lost: FailureCause) -> TrialRecord:
        key = job.spec["key"]
        what, error_class = LAST_WORDS[lost]
        host = self.ledger.host_of(key, job.attempt)
        where = f"the last time on {host}" if host else "before it had begun"
        reason = LostAttempt(f"{what}, {DEATHS} times, {where}: see Ray's log there")
        failure = Failure.of(reason, error_class)._replace(host=host or "unknown")
        self.ledger.attempt(key, job.attempt).record(failure)
        trial = self.ledger.trial(key)
        assert trial is not None
        return trial

    @property
    def hopeless(self) -> bool:
        """Something is left to run, but all that this launch has run failed (early_stop.py)."""
        return not self.finished and self._early_stop.hopeless

    @property
    def finished(self) -> bool:
        """Everything asked for has run."""
        return self.planner.finished

    def counts(self) -> dict[str, ArmCounts]:
        """How each arm stands now, by name."""
        planned, done = self.planner.planned, self.planner.done
        failed: Counter[str] = Counter()
        passes: Counter[str] = Counter()
        for trial in self.trials.values():
            arm, ended = trial.spec["arm"], trial.result or trial.stopped
            failed[arm] += trial.state == "failed"
            passes[arm] += ended["passes"] if ended else 0
        return {
            arm: ArmCounts(planned[arm], done[arm], failed[arm], self._attempts[arm], passes[arm])
            for arm in self.planner.arms
        }

"""Runs one attempt at one trial in this process, for Ray and for the inline executor."""

from __future__ import annotations

import io
import socket
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from obstore.exceptions import BaseError

from pipelines import own_modules
from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.execution.jobs import Lost
from pipelines.execution.packing import memory_fraction, processes_on
from pipelines.execution.processes import ProcessLost, processes
from pipelines.execution.signals import ShouldStop
from pipelines.execution.worker_config import WorkerConfig
from pipelines.ledger.attempt import Attempt, Failure, LedgerConflict
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.storage import STORAGE_ERRORS, open_storage
from pipelines.provenance import differing, origin, provenance
from pipelines.study.method_loading import is_fitted
from pipelines.study.training_spec import TrainingSpec
from pipelines.tracking.loggers import Loggers, loggers
from pipelines.tracking.rows import Json, tracked_row, tracked_summary
from pipelines.training.artifacts import artifacts
from pipelines.training.trial import Progress, run_trial
from pipelines.trial_documents import HistoryRow, Outcome, Rung, TrialSpec

KEEP_MODEL = ("final", "default")  # roles of trials


class Stopped(Exception):
    """The launch is ending; the attempt has left a checkpoint."""


def run_attempt(
    worker_config: WorkerConfig,
    spec: TrialSpec,
    number: int,
    stop: ShouldStop = lambda: False,
    gpus: float = 0.0,
    rung: Rung | None = None,
) -> Lost | None:
    """Run attempt `number` at a trial to its end; result or error are in the ledger afterwards.

    A trial's own exceptions are recorded and go no further; one that cannot be recorded from here
    is returned, and so is the loss of one of its processes. Once `stop` is true, the attempt leaves
    a checkpoint, and no outcome. gpus: what the attempt may take; a fraction limits the memory, and
    of several each has a process. rung: where it stops with a checkpoint, and is recorded as
    stopped.
    """
    own_modules.search(worker_config.modules.values())
    attempt = None
    try:
        # Not to be made here: a node that lacks it does not see the study's.
        storage = open_storage(worker_config.storage, create=False, known=True)
        attempt = Ledger(storage).attempt(spec["key"], number)
        attempt.begin()
        if worker_config.device == "cuda":
            _prepare_gpu(gpus)
        _run(worker_config, spec, attempt, stop, gpus, rung)
    except Stopped:
        return None
    except ProcessLost:
        return "worker"
    except Exception as error:
        failure = Failure.of(error, classify(error))
        with suppress(*STORAGE_ERRORS):
            if attempt is not None:
                attempt.record(failure)
                return None
        return failure
    return None


def data_fault(worker_config: WorkerConfig, spec: TrialSpec) -> str | None:
    """Why the study's data, which the driver has read, cannot be read here; None if they can.

    The first trial's task: it is kept in memory, so that trial need not make it again.
    """
    own_modules.search(worker_config.modules.values())
    protocol = worker_config.protocols[spec["scenario"]]
    try:
        _prepare_data(worker_config, TrainingSpec.of(spec, protocol))
    except UserError as error:
        return str(error)
    return None


def _run(
    worker_config: WorkerConfig,
    spec: TrialSpec,
    attempt: Attempt,
    stop: ShouldStop,
    gpus: float,
    rung: Rung | None,
) -> None:
    training_spec = TrainingSpec.of(spec, worker_config.protocols[spec["scenario"]])
    _prepare_data(worker_config, training_spec)
    recorder = _Recorder(attempt, training_spec, _made_by(worker_config, training_spec), gpus)
    state = _load(attempt, origin(recorder.made_by))
    history = list(state["history"]) if state else []
    count = 1 if is_fitted(training_spec.phases[0].method) else processes_on(gpus)
    with (
        _loggers(worker_config, spec, history) as run,
        processes(count, worker_config, training_spec, state),
    ):
        if rung and state and _has_come_to(rung, history):
            run.summarize(recorder.stop(rung, history, state))
            return
        saved = time.monotonic()
        for progress in run_trial(training_spec, state, worker_config.device, worker_config.fast):
            if progress.row is not None:
                history.append(progress.row)
                run.log(tracked_row(progress.row))
                attempt.show(history)
            if progress.result is not None:
                run.summarize(tracked_summary(recorder.result(progress.result)))
                recorder.finish(progress, history, with_model=spec["role"] in KEEP_MODEL)
                return
            if rung and progress.row is not None and _has_come_to(rung, history):
                recorder.save(progress.snapshot())
                run.summarize(recorder.stop(rung, history, progress.snapshot()))
                return
            ending = stop()
            if ending or time.monotonic() - saved > worker_config.checkpoint_seconds:
                recorder.save(progress.snapshot())
                saved = time.monotonic()
            if ending:
                raise Stopped(spec["key"])


def _loggers(
    worker_config: WorkerConfig, spec: TrialSpec, history: list[HistoryRow]
) -> AbstractContextManager[Loggers]:
    """What an attempt is logged by; history: of the attempts before."""
    return loggers(
        spec,
        study=worker_config.study,
        study_id=worker_config.study_id,
        protocol=worker_config.protocols[""].model_dump(mode="json"),
        directory=Path(worker_config.tracking_dir),
        mode=worker_config.tracking,
        event_files=worker_config.event_files,
        history=[tracked_row(row) for row in history],
    )


def _has_come_to(rung: Rung, history: list[HistoryRow]) -> bool:
    """Whether a trial is to stop here; one that has diverged ends by itself at its next step."""
    return len(history) >= rung.epoch and history[-1]["train/loss"] is not None


@dataclass(frozen=True)
class _Recorder:
    """Writes down what becomes of an attempt."""

    attempt: Attempt
    spec: TrainingSpec
    made_by: Json
    gpus: float

    def save(self, state: Json) -> None:
        """A checkpoint."""
        _save(self.attempt, state, origin(self.made_by))

    def stop(self, rung: Rung, history: list[HistoryRow], state: Json) -> Json:
        """The stop at a rung, of which there is a checkpoint; what W&B shows of it."""
        cost, passes = {"seconds": state["seconds"], "gpus": self.gpus}, state["passes"]
        details = {"passes": passes, "cost": cost, "provenance": self.made_by}
        self.attempt.stop(rung, history, details)
        return {"status": "stopped", "passes": passes, **cost}

    def result(self, outcome: Outcome) -> Outcome:
        """What a trial came to, with what it took."""
        return {**outcome, "cost": outcome["cost"] | {"gpus": self.gpus}}

    def finish(self, progress: Progress, history: list[HistoryRow], with_model: bool) -> None:
        """The end of the trial."""
        assert progress.result is not None
        result = self.result(progress.result)
        # The model first: a result without its model would never get it.
        if with_model and result["status"] == "completed":
            for name, data in artifacts(self.spec, progress.snapshot()).items():
                self.attempt.write(name, data)
        self.attempt.finish({**result, "provenance": self.made_by}, history)


def _prepare_data(worker_config: WorkerConfig, training_spec: TrainingSpec) -> None:
    protocol = training_spec.protocol
    if protocol.data == worker_config.protocols[""].data:  # no axis says otherwise
        prepare(protocol, training_spec.data_seed, worker_config.fingerprint)


def _prepare_gpu(gpus: float) -> None:
    """Limit this attempt to its share of the GPU's memory, and start its peak at nothing.

    So too much fails here, not next door, and what the process has run before does not count.
    """
    torch.cuda.init()
    torch.cuda.reset_peak_memory_stats()
    if 0 < gpus < 1:
        _, total = torch.cuda.mem_get_info()
        torch.cuda.set_per_process_memory_fraction(memory_fraction(gpus, total))


def _made_by(worker_config: WorkerConfig, spec: TrainingSpec) -> Json:
    made_by = provenance(spec.modules) | {
        "commit": worker_config.commit,
        "host": socket.gethostname(),
        "without": worker_config.fast.left_out(),
    }
    if worker_config.device == "cuda":
        made_by["processor"] = torch.cuda.get_device_name()
    return made_by


def _load(attempt: Attempt, here: Json) -> Json | None:
    """The state of the furthest checkpoint; None if there is none.

    None also if its origin is another than `here`, or if it is another trial's: a trial is not a
    mixture.
    """
    newest = attempt.load_newest_checkpoint()
    if newest is None:
        return None
    _, data = newest
    saved = torch.load(io.BytesIO(data), weights_only=True)
    own = saved.get("key", attempt.key) == attempt.key  # 0.1 wrote none
    return saved["state"] if own and not differing(saved["origin"], here) else None


def _save(attempt: Attempt, state: Json, here: Json) -> None:
    buffer = io.BytesIO()
    torch.save({"key": attempt.key, "origin": here, "state": state}, buffer)
    attempt.save_checkpoint(buffer.getvalue(), state["steps"])


def classify(error: Exception) -> str:
    """Why an attempt failed: memory, time, data, user, conflict or code.

    That a node was lost is the driver's to say.
    """
    kinds_of = {
        "memory": torch.cuda.OutOfMemoryError | MemoryError,
        "time": TimeoutError,
        "data": OSError | BaseError,
        "user": UserError,
        "conflict": LedgerConflict,
    }
    return next((name for name, kinds in kinds_of.items() if isinstance(error, kinds)), "code")

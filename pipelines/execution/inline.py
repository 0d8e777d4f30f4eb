"""Runs a study's trials one after the other in this process: for tests, and without Ray."""

from collections.abc import Callable

from pipelines.execution.job_queue import JobQueue
from pipelines.execution.worker import run_attempt
from pipelines.execution.worker_config import WorkerConfig
from pipelines.ledger.ledger import TrialRecord


def run_inline(
    queue: JobQueue,
    worker_config: WorkerConfig,
    on_end: Callable[[TrialRecord], None] = lambda trial: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Run all that is missing, or until `stop` is true; then the trial that was running has left a
    checkpoint.
    """
    queue.gpus = float(worker_config.device == "cuda")  # one at a time: all of it
    while not stop() and (job := queue.next()) is not None:
        run_attempt(worker_config, job.spec, job.attempt, stop, job.gpus)
        if (trial := queue.ended(job.spec["key"])) is not None:
            on_end(trial)

"""Runs a study's trials one after the other in this process: for tests, and without Ray."""

from pipelines.execution.job_queue import JobQueue
from pipelines.execution.jobs import OnEnd
from pipelines.execution.signals import ShouldStop
from pipelines.execution.worker import run_attempt
from pipelines.execution.worker_config import WorkerConfig


def run_inline(
    queue: JobQueue,
    worker_config: WorkerConfig,
    on_end: OnEnd = lambda trial: None,
    stop: ShouldStop = lambda: False,
) -> None:
    """Run all that is missing, or until `stop` is true.

    Then the trial that was running has left a checkpoint.
    """
    gpus = float(worker_config.device == "cuda")  # one at a time: all of it
    while not stop() and (job := queue.next(gpus)) is not None:
        failure = run_attempt(worker_config, job.spec, job.attempt, stop, job.gpus, job.rung)
        if (trial := queue.ended(job.spec["key"], failure)) is not None:
            on_end(trial)

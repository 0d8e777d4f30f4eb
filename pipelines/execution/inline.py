"""Runs a study's trials one after the other in this process: for tests, and without Ray."""

from collections.abc import Callable

from pipelines.execution.job_queue import Campaign
from pipelines.execution.settings import Setting
from pipelines.execution.worker import run_attempt
from pipelines.ledger.ledger import Trial


def run_inline(
    campaign: Campaign,
    setting: Setting,
    on_end: Callable[[Trial], None] = lambda trial: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Run all that is missing, or until `stop` is true; then the trial that was running has left a
    checkpoint.
    """
    campaign.gpus = float(setting.device == "cuda")  # one at a time: all of it
    while not stop() and (job := campaign.next()) is not None:
        run_attempt(setting, job.spec, job.attempt, stop, job.gpus)
        if (trial := campaign.ended(job.spec["key"])) is not None:
            on_end(trial)

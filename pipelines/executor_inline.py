"""Runs a study's trials one after the other in this process: without Ray, for tests and debugging."""

from collections.abc import Callable

from pipelines.campaign import Campaign
from pipelines.ledger import Trial
from pipelines.worker import Setting, run_attempt


def run_inline(
    campaign: Campaign,
    setting: Setting,
    on_end: Callable[[Trial], None] = lambda trial: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Run all that is missing. Raises `Stopped` where `stop` became true; the trial has left a checkpoint."""
    while (job := campaign.next()) is not None:
        run_attempt(setting, job.spec, job.attempt, stop=stop)
        on_end(campaign.ended(job.spec["key"]))

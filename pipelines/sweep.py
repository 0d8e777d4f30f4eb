"""Runs a study's trials on Ray Tune: this machine, or any Ray cluster."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Before ray is imported: the ledger keeps the results, so Tune's own files and reports are switched off.
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # `_stop_signals` has all of them
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray  # noqa: E402
from ray import tune  # noqa: E402

from pipelines.campaign import Campaign  # noqa: E402
from pipelines.errors import Interrupted  # noqa: E402
from pipelines.ledger import Trial  # noqa: E402
from pipelines.search import CampaignSearch  # noqa: E402
from pipelines.worker import Resources, Setting, run_attempt  # noqa: E402

ROOT = Path(__file__).parent.parent
REPORT_SECONDS = 2.0


def run_on_ray(
    campaign: Campaign,
    setting: Setting,
    resources: Resources,
    on_end: Callable[[Trial], None] = lambda trial: None,
) -> None:
    """Run all that is missing on a Ray of its own on this machine; it is shut down at the end.

    Raises:
        Interrupted: SIGINT or SIGTERM came; what had finished is in the ledger.
    """
    if campaign.finished:
        return
    _quiet()
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {"PYTHONPATH": _python_path()}},
    )
    try:
        with _stop_signals() as stop, tempfile.TemporaryDirectory(prefix="untuned-") as scratch:
            _fit(campaign, setting, resources, on_end, stop, scratch)
    finally:
        ray.shutdown()
    if not campaign.finished:
        raise Interrupted


def _fit(
    campaign: Campaign,
    setting: Setting,
    resources: Resources,
    on_end: Callable[[Trial], None],
    stop: StopSignals,
    scratch: str,
) -> None:
    """One fresh Tuner, whose searcher hands out what is missing."""
    fit = int(ray.cluster_resources().get("CPU", 1) / max(resources.cpus, 1e-9))
    if resources.gpus:
        fit = min(fit, int(ray.cluster_resources().get("GPU", 0) / resources.gpus))
    trainable = tune.with_resources(
        tune.with_parameters(ray_trial, setting=setting),
        {"cpu": resources.cpus, "gpu": resources.gpus},
    )
    tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            num_samples=-1,
            search_alg=CampaignSearch(campaign, on_end, stop.stop_all),
            max_concurrent_trials=max(1, min(fit, resources.concurrent or fit)),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="attempt", storage_path=scratch, verbose=0, stop=stop),
    ).fit()


def ray_trial(config: dict[str, Any], setting: Setting) -> None:
    """One job in a Ray worker. The result is in the ledger before the last report, which may never return."""
    reported = time.monotonic()

    def on_row(row: dict[str, Any]) -> None:
        nonlocal reported
        if time.monotonic() - reported > REPORT_SECONDS:
            reported = time.monotonic()
            tune.report({"epoch": row["epoch"]})

    run_attempt(setting, config["spec"], config["attempt"], on_row)
    tune.report({"epoch": -1, "done": True})


class StopSignals(tune.Stopper):
    """Ends the experiment once SIGINT or SIGTERM came (SLURM, Kubernetes and `ray job stop` send the latter)."""

    received = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No trial is stopped for its results."""
        return False

    def stop_all(self) -> bool:
        """Whether to stop."""
        return self.received


@contextmanager
def _stop_signals() -> Iterator[StopSignals]:
    """The first signal stops the experiment; the next one acts as it did before."""
    stop = StopSignals()
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def receive(number: int, frame: Any) -> None:
        stop.received = True
        restore()

    try:
        for number in previous:
            signal.signal(number, receive)
        yield stop
    finally:
        restore()


def _python_path() -> str:
    """Workers import this project from where the driver has it."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def _quiet() -> None:
    for name in ("ray", "ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="ray")

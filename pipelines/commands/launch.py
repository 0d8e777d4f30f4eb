"""From a study's name to a finished study: check everything, then run what is missing, then
report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console

from pipelines.cluster.doctor import examine_cluster, examine_here
from pipelines.commands.show import show_report
from pipelines.errors import Interrupted, UserError
from pipelines.execution.job_queue import JobQueue
from pipelines.execution.packing import Gpus
from pipelines.execution.preflight import _same_protocol, check, choose_device, refuse_mixture
from pipelines.execution.progress import ProgressTable, progress
from pipelines.execution.signals import StopSignals
from pipelines.execution.worker_config import Resources, WorkerConfig
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.storage import STORAGE_ERRORS, reason_of
from pipelines.provenance import provenance
from pipelines.study.protocol import protocol_hash
from pipelines.study.study_file import Study, load_study
from pipelines.tracking.mode import resolve_mode, wandb_url
from pipelines.training.fast_paths import ALL_FAST, FastPaths


@dataclass(frozen=True)
class Options:
    """How a launch runs; none of it changes a number by more than rounding."""

    storage: str | None = None
    executor: Literal["ray", "inline"] = "ray"
    wandb: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    concurrent: int | None = None
    cpus_per_trial: float | None = None
    gpus_per_trial: Gpus | None = None
    address: str | None = None
    checkpoint_seconds: float = 60.0
    retry: tuple[Literal["failed", "diverged"], ...] = ()
    allow_mixed: bool = False
    takeover: bool = False
    fast: FastPaths = ALL_FAST


def launch(study: Study, options: Options, console: Console) -> str:
    """Run what is missing of a study; its storage.

    Everything a user may have got wrong is found before anything is written.

    Raises:
        UserError: the study cannot run here, its storage holds another one, or the storage failed.
        Interrupted: it was asked to stop; the same command goes on.
    """
    storage = options.storage or f"runs/{study.name}"
    device = choose_device(options.device, options.address)
    mode = resolve_mode(options.wandb)
    with StopSignals() as signals:
        fingerprint = check(study)
        document = _document(study, fingerprint)
        _same_protocol(storage, Ledger.open(storage).study(), document)
        tracking_dir = storage if "://" not in storage else f"runs/{study.name}"
        worker_config = WorkerConfig(
            storage=_absolute(storage),
            study=study.name,
            protocols=study.protocols,
            device=device,
            tracking=mode,
            tracking_dir=str(Path(tracking_dir).resolve()),
            commit=provenance()["commit"],
            checkpoint_seconds=options.checkpoint_seconds,
            fast=options.fast,
        )
        try:
            finished = _drive(study, document, worker_config, options, console, signals)
        except STORAGE_ERRORS as error:
            raise UserError(
                f"the launch failed ({reason_of(error)}): what had finished is kept in "
                f"{storage!r}, the same command goes on from there"
            ) from error
        if signals.received is not None and not finished:
            raise Interrupted(signals.received)
    return storage


def _drive(
    study: Study,
    document: dict[str, Any],
    worker_config: WorkerConfig,
    options: Options,
    console: Console,
    stop: Callable[[], bool],
) -> bool:
    """Drive from here, or from the cluster if only a Ray client reaches it; whether all has run."""
    examine = partial(_examine, worker_config, options.address, console)
    if not (options.address or "").startswith("ray://"):
        return _drive_here(study, document, worker_config, options, examine, console, stop)
    from pipelines.cluster.client import drive_on_head  # imports ray, which takes seconds

    assert options.address
    there = partial(_drive_here, study, document, worker_config, options, _examined)
    return drive_on_head(options.address, there, examine, console, stop)


def _examined() -> None:
    """The client has looked at the nodes: it alone can tell whether they see its storage."""


def _drive_here(
    study: Study,
    document: dict[str, Any],
    worker_config: WorkerConfig,
    options: Options,
    examine: Callable[[], None],
    console: Console,
    stop: Callable[[], bool],
) -> bool:
    """Run what is missing, as the study's one driver; whether all has run."""
    ledger = Ledger.open(worker_config.storage)
    with ledger.acquire_lease(options.takeover) as lease:
        queue = JobQueue(study, document["hash"], ledger, options.retry)
        if not (options.allow_mixed or queue.finished):
            refuse_mixture(queue.trials.values(), worker_config)
        ledger.create_study(document)
        ledger.write_request(_request(study))
        _run(queue, worker_config, options, examine, console, lambda: stop() or lease.lost)
        if lease.lost:
            raise UserError(
                f"storage {worker_config.storage!r}: another driver has taken the study over"
            )
        queue.write_index()
        return queue.finished


def _run(
    queue: JobQueue,
    worker_config: WorkerConfig,
    options: Options,
    examine: Callable[[], None],
    console: Console,
    stop: Callable[[], bool],
) -> None:
    resources = _resources(queue.study, options, worker_config.device)
    progress_table = ProgressTable(queue.planner, workers=_workers(options, resources))
    for trial in queue.trials.values():
        progress_table.add(trial)
    with progress(progress_table, console) as on_end:
        if queue.finished:
            console.print(f"{queue.study.name} is complete: nothing is missing.", markup=False)
            return
        if options.executor == "inline":
            from pipelines.execution.inline import run_inline  # loads W&B

            run_inline(queue, worker_config, on_end, stop)
        else:
            from pipelines.cluster.sweep import run_on_ray  # imports ray, which takes seconds

            say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
            run_on_ray(queue, worker_config, resources, options.address, on_end, stop, examine, say)


def _examine(worker_config: WorkerConfig, address: str | None, console: Console) -> None:
    """`doctor` in short form: an error on any machine ends the launch before its first trial."""
    look = examine_cluster if address else examine_here
    _, issues = look(worker_config.storage, wandb_url(worker_config.tracking))
    for issue in issues:
        if issue.level == "error":
            raise UserError(str(issue).removeprefix("error: "))
        console.print(str(issue), markup=False, highlight=False, soft_wrap=True)


def _resources(study: Study, options: Options, device: str) -> Resources:
    return Resources(
        cpus=options.cpus_per_trial or study.protocol.threads,
        gpus=_gpus(options, device),
        concurrent=options.concurrent,
    )


def _gpus(options: Options, device: str) -> Gpus:
    """One trial at a time has all of the GPU; there is nothing to share where there is none."""
    asked = options.gpus_per_trial
    if asked is None or (asked == "auto" and device == "cpu"):
        return float(device == "cuda")
    return asked


def _workers(options: Options, resources: Resources) -> int:
    if options.executor == "inline":
        return 1
    fit = max(1, int((torch.get_num_threads() or 1) / resources.cpus))
    return min(fit, options.concurrent or fit)


def _document(study: Study, fingerprint: str) -> dict[str, Any]:
    return {
        "schema": 1,
        "name": study.name,
        "protocol": study.protocol.model_dump(mode="json"),
        "hash": protocol_hash(study.protocol, fingerprint),
        "fingerprint": fingerprint,
    }


def _request(study: Study) -> dict[str, Any]:
    return {"about": study.about, "request": study.request.model_dump(), "arms": study.own_arms}


def _absolute(storage: str) -> str:
    """Workers may have another working directory."""
    return storage if "://" in storage else str(Path(storage).resolve())


RETRIED = ("failed", "diverged")
SHORT = {"trials": 2, "repeats": 2, "seeds": 1}  # the request of a rehearsal


def run_launch(
    name: str, request: dict[str, Any], options: dict[str, Any], quick: bool, console: Console
) -> int:
    """Launch a study and report; the exit status."""
    from pipelines.commands.launch import (  # wandb and more, which `status` needs not
        Options,
        launch,
    )

    for option, allowed in (("executor", ("ray", "inline")), ("device", ("auto", "cpu", "cuda"))):
        if options[option] not in allowed:
            raise UserError(f"--{option} {options[option]!r}: must be one of {', '.join(allowed)}")
    if options["storage"] == "":
        raise UserError("--storage '': must be a directory, or the URL of an object store")
    for state in options["retry"]:
        if state not in RETRIED:
            raise UserError(f"--retry {state!r}: must be one of {', '.join(RETRIED)}")
    study = load_study(name, request)
    if quick:
        study = rehearsal(study, request)
    try:
        storage = launch(study, Options(**options), console)
    except Interrupted as interrupted:
        where = options["storage"] or f"runs/{study.name}"
        console.print(
            f"Stopped by {interrupted}; what was done is kept in {where}. "
            "The same command goes on from there.",
            soft_wrap=True,
        )
        return interrupted.status
    show_report([storage], console)
    return 0


def rehearsal(study: Study, asked: dict[str, Any]) -> Study:
    """The same study, short: to see that all of it runs, not to learn from it. What was asked for
    stays."""
    schedule = study.protocol.schedule
    short = schedule.model_copy(update={"epochs": max(2, schedule.epochs // 20)})
    return study.model_copy(
        update={
            "name": f"{study.name}-quick",
            "protocol": study.protocol.model_copy(update={"schedule": short}),
            "request": study.request.model_copy(update=SHORT | asked),
        }
    )

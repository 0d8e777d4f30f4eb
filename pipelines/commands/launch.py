"""The command `launch`: check everything, then run what is missing of a study, then report."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from pipelines import own_modules
from pipelines.cluster.doctor import refuse_unfit
from pipelines.cluster.ray_process import RayWork, run_in_process
from pipelines.commands.options import Options
from pipelines.commands.outcome import given_up, outcome
from pipelines.commands.printing import print_line
from pipelines.commands.report import show_report
from pipelines.commands.which_study import default_storage, study_named
from pipelines.documents import Json
from pipelines.errors import Interrupted, UserError
from pipelines.execution.job_queue import JobQueue
from pipelines.execution.jobs import OnEnd
from pipelines.execution.preflight import (
    check,
    choose_device,
    modules_of,
    refuse_mixture,
    refuse_other_protocol,
)
from pipelines.execution.progress import ProgressTable, progress
from pipelines.execution.signals import ShouldStop, StopSignals
from pipelines.execution.worker_config import WorkerConfig
from pipelines.ledger.damage import damage_lines
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.storage import STORAGE_ERRORS, is_url, reason_of
from pipelines.provenance import provenance
from pipelines.study.protocol import protocol_hash
from pipelines.study.study_file import Study
from pipelines.tracking.mode import Mode, resolve_mode

SHORT = {"trials": 2, "repeats": 2, "seeds": 1}  # the request of a rehearsal


def run_launch(
    name: str, request: dict[str, Any], options: Options, quick: bool, console: Console
) -> int:
    """Launch a study by name or file, and report; the exit status, 3 where an arm came to nothing.

    request: entries of the study's request that the command line overrides. quick: a rehearsal.
    """
    study, place = study_named(name, request)
    if quick:
        study, place = rehearsal(study, request), None
    options = replace(options, storage=options.storage or place)
    try:
        launched = launch(study, options, console)
    except Interrupted as interrupted:
        print_line(
            f"Stopped by {interrupted}; what was done is kept in {storage_of(study, options)}. "
            "The same command goes on from there.",
            console,
        )
        return interrupted.status
    status = outcome(launched.storage, console)
    offline = [launched.tracking_dir] if launched.tracking == "offline" else []
    show_report([launched.storage], console, offline)
    return status


def rehearsal(study: Study, asked: dict[str, Any]) -> Study:
    """The same study, short: to see that all of it runs, not to learn from it.

    asked: entries of the request that stay.
    """
    schedule = study.protocol.schedule
    length = {"epochs": max(2, schedule.epochs // 20)}
    if schedule.steps is not None:
        length = {"steps": max(2, schedule.steps // 20)}
    short = schedule.model_copy(update=length)
    return study.model_copy(
        update={
            "name": f"{study.name}-quick",
            "protocol": study.protocol.model_copy(update={"schedule": short}),
            "request": study.request.model_copy(update=SHORT | asked),
        }
    )


class Launched(NamedTuple):
    """A launch that ended: the study's storage, and how and where its trials were logged to W&B."""

    storage: str
    tracking: Mode
    tracking_dir: Path


def launch(study: Study, options: Options, console: Console) -> Launched:
    """Run what is missing of a study.

    Everything a user may have got wrong is told before anything is written.

    Raises:
        UserError: the study cannot run here, its storage holds another one, or the storage failed.
        Interrupted: it was asked to stop; the same command goes on.
    """
    storage = storage_of(study, options)
    with StopSignals() as signals:
        try:
            checked = Launch.of(study, options)
            finished = checked.run(console, signals)
        except STORAGE_ERRORS as error:
            raise UserError(
                f"the launch failed ({reason_of(error)}): what had finished is kept in "
                f"{storage!r}, the same command goes on from there"
            ) from error
        if signals.received is not None and not finished:
            raise Interrupted(signals.received)
    tracking_dir = tracking_folder(study, storage)
    return Launched(storage, checked.worker_config.tracking, tracking_dir)


def tracking_folder(study: Study, storage: str) -> Path:
    """Below which W&B's files are: beside the trials, or on this machine."""
    return Path(default_storage(study.name) if is_url(storage) else storage)


def storage_of(study: Study, options: Options) -> str:
    """Where a launch keeps its study."""
    return options.storage or default_storage(study.name)


@dataclass(frozen=True)
class Launch:
    """A launch of which everything has been checked, but for the machines that it runs on.

    It is driven here or, where only a Ray client reaches the cluster, travels to its head.

    document: study.json, as it is or will be. nodes_checked: they need not be looked at again.
    """

    study: Study
    document: Json
    worker_config: WorkerConfig
    options: Options
    nodes_checked: bool = False

    @classmethod
    def of(cls, study: Study, options: Options) -> Launch:
        """Read the data and build the models: what does not work is told now.

        Raises:
            UserError: the study cannot run, or its storage holds another one.
        """
        storage = storage_of(study, options)
        device = choose_device(options.device, options.address)
        mode = resolve_mode(options.wandb)
        fingerprint = check(study, device)
        existing = Ledger.open(storage).study()
        document = _document(study, fingerprint, existing)
        refuse_other_protocol(storage, existing, document)
        worker_config = WorkerConfig(
            # Absolute: workers may have another working directory.
            storage=storage if is_url(storage) else str(Path(storage).resolve()),
            study=study.name,
            protocols=study.protocols,
            device=device,
            tracking=mode,
            tracking_dir=str(tracking_folder(study, storage).resolve()),
            commit=provenance()["commit"],
            checkpoint_seconds=options.checkpoint_seconds,
            fast=options.fast,
            modules=own_modules.own_folders(modules_of(study)),
            fingerprint=fingerprint,
            study_id=document.get("id"),
        )
        return cls(study, document, worker_config, options)

    def run(self, console: Console, stop: ShouldStop) -> bool:
        """Run what is missing; whether all has run."""
        address = self.options.address
        if address is None or not self.options.through_client:
            return self.drive(console, stop)
        from pipelines.cluster.client import drive_on_head  # imports ray, which takes seconds
        from pipelines.cluster.connection import connected

        with connected(address, self.worker_config.modules):
            # From here: the head does not know what storage this machine writes its report to.
            refuse_unfit(address, self.worker_config, partial(print_line, console=console))
            there = replace(self, nodes_checked=True)
            return drive_on_head(address, there.drive, console, stop)

    def drive(self, console: Console, stop: ShouldStop) -> bool:
        """Run what is missing, as the study's one driver; whether all has run."""
        own_modules.search(self.worker_config.modules.values())  # on a cluster's head, anew
        ledger = Ledger.open(self.worker_config.storage)
        # The lease comes first: only its holder may number attempts, or write what two launches
        # of different requests would both write.
        with ledger.acquire_lease(self.options.takeover) as lease:
            queue = JobQueue(self.study, self.document["hash"], ledger, self.options.retry or ())
            for line in damage_lines(queue.damaged):
                print_line(f"damaged: {line}", console)
            # A complete study is only reported on again; nothing is added that would not compare.
            if not (self.options.allow_mixed or queue.finished):
                refuse_mixture(queue.trials.values(), self.worker_config)
            ledger.create_study(self.document)
            ledger.write_request(self._request())

            def give_up() -> bool:
                return queue.hopeless and not self.options.keep_going

            self._run_queue(queue, console, lambda: stop() or lease.lost or give_up())
            if lease.lost:
                raise UserError(
                    f"storage {self.worker_config.storage!r}: another driver has taken the study "
                    "over"
                )
            queue.write_index()
            if give_up():
                print_line(given_up(queue.planner), console)
            return queue.finished

    def _run_queue(self, queue: JobQueue, console: Console, stop: ShouldStop) -> None:
        progress_table = ProgressTable(queue.planner, workers=self._workers())
        for trial in queue.trials.values():
            progress_table.add(trial)
        with progress(progress_table, console) as on_end:
            if queue.finished:
                print_line(f"{queue.study.name} is complete: nothing is missing.", console)
            elif self.options.executor == "inline":
                from pipelines.execution.inline import run_inline  # loads W&B

                run_inline(queue, self.worker_config, on_end, stop)
            else:
                self._run_on_ray(queue, on_end, console, stop)

    def _run_on_ray(
        self, queue: JobQueue, on_end: OnEnd, console: Console, stop: ShouldStop
    ) -> None:
        """Apart from this process, unless it is one of Ray's: a task on the head of a cluster."""
        options, say = self.options, partial(print_line, console=console)
        gpus, probed = options.gpus_on(self.worker_config.device), {}
        if gpus == "auto":
            from pipelines.execution.probe import probe_specs  # loads torch's profiler

            probed = probe_specs(self.study)
        if options.address is None:
            refuse_unfit(None, self.worker_config, say)
        work = RayWork(
            address=options.address,
            worker_config=self.worker_config,
            cpus=self._cpus(),
            gpus=gpus,
            concurrent=options.concurrent,
            probed=probed,
            nodes_checked=self.nodes_checked,
        )
        if options.through_client:
            from pipelines.cluster.sweep import work_on_ray

            work_on_ray(work, queue, on_end, say, stop)
        else:
            run_in_process(work, queue, on_end, say, stop)

    def _request(self) -> Json:
        study, modules = self.study, dict(self.worker_config.modules)
        request = {"about": study.about, "request": study.request.model_dump()}
        return request | {"arms": study.own_arms} | ({"modules": modules} if modules else {})

    def _cpus(self) -> float:
        return self.options.cpus_per_trial or self.study.protocol.threads

    def _workers(self) -> int:
        """Trials at once, as far as this machine tells: for the estimate of the time left."""
        if self.options.executor == "inline":
            return 1
        fit = max(1, int((os.cpu_count() or 1) / self._cpus()))
        return min(fit, self.options.concurrent or fit)


def _document(study: Study, fingerprint: str, existing: Json | None) -> Json:
    """What study.json holds, or will hold.

    Its id tells two studies of one protocol apart, for W&B; those of version 0.1 have none.
    """
    study_id = {"id": uuid.uuid4().hex[:8]} if existing is None else {}
    if existing is not None and "id" in existing:
        study_id = {"id": existing["id"]}
    return study_id | {
        "schema": 1,
        "name": study.name,
        "protocol": study.protocol.model_dump(mode="json"),
        "hash": protocol_hash(study.protocol, fingerprint),
        "fingerprint": fingerprint,
    }

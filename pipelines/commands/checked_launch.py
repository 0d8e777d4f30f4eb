"""A launch that has been checked, and its drive: what is missing of a study, on Ray or inline."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from pipelines import own_modules
from pipelines.cluster.doctor import refuse_unfit
from pipelines.cluster.ray_process import RayWork, run_in_process
from pipelines.commands.options import Options
from pipelines.commands.outcome import given_up
from pipelines.commands.printing import print_line
from pipelines.commands.warm_start import with_warm_start
from pipelines.commands.which_study import default_storage
from pipelines.documents import Json, sha256
from pipelines.errors import UserError
from pipelines.execution.job_queue import JobQueue
from pipelines.execution.jobs import OnEnd
from pipelines.execution.packing import processes_on
from pipelines.execution.preflight import (
    check,
    choose_device,
    modules_of,
    refuse_mixture,
    refuse_other_protocol,
)
from pipelines.execution.progress import ProgressTable, progress
from pipelines.execution.signals import ShouldStop
from pipelines.execution.worker_config import NodeCheck, WorkerConfig
from pipelines.ledger.damage import damage_lines
from pipelines.ledger.lease import Lease, LeaseHeld
from pipelines.ledger.ledger import STUDY_FILE, Ledger
from pipelines.ledger.storage import is_url
from pipelines.provenance import provenance
from pipelines.study.own_folders import beside_study
from pipelines.study.protocol import protocol_hash
from pipelines.study.study_file import Study
from pipelines.tracking.mode import resolve_mode, wandb_url

LOOK_SECONDS = 1.0  # between two looks at a lease that another driver holds


def tracking_folder(study: Study, storage: str) -> Path:
    """Below which W&B's files are: as `WANDB_DIR` says, beside the trials, or on this machine."""
    asked = os.environ.get("WANDB_DIR")
    return Path(asked or (default_storage(study.name) if is_url(storage) else storage))


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
        study = with_warm_start(study, storage, fingerprint)
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
            modules=own_modules.own_folders(modules_of(study))
            | beside_study(study.protocols.values()),
            fingerprint=fingerprint,
            study_id=document.get("id"),
            event_files=options.log == "tensorboard",
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
        lease = self._lease(ledger, console, stop)
        if lease is None:
            return False
        with lease:
            queue = JobQueue(self.study, self.document["hash"], ledger, self.options.retry or ())
            for line in damage_lines(queue.damaged):
                print_line(f"damaged: {line}", console)
            # A complete study is only reported on again; nothing is added that would not compare.
            if not (self.options.allow_mixed or queue.finished):
                refuse_mixture(queue.trials.values(), self.worker_config)
            ledger.create_study(self.document)
            ledger.write_request(self._request())
            there = replace(self, worker_config=self._checked_by_nodes(ledger))

            def give_up() -> bool:
                return queue.hopeless and not self.options.keep_going

            there._run_queue(queue, console, lambda: stop() or lease.lost or give_up())
            if lease.lost:
                raise UserError(
                    f"storage {self.worker_config.storage!r}: another driver has taken the study "
                    "over"
                )
            queue.write_index()
            if give_up():
                print_line(given_up(queue.planner), console)
            return queue.finished

    def _lease(self, ledger: Ledger, console: Console, stop: ShouldStop) -> Lease | None:
        """The right to drive the study; None if asked to stop before another driver was gone.

        Raises:
            LeaseHeld: it was not gone in time.
        """
        began, patience, waiting = time.monotonic(), self.options.wait_for_lease or 0, False
        while True:
            try:
                lease = ledger.acquire_lease(self.options.takeover)
            except LeaseHeld as held:
                if time.monotonic() - began >= patience:
                    raise
                if not waiting:
                    holder = str(held).partition(";")[0]
                    print_line(f"{holder}: waiting up to {patience} s until it is gone", console)
                    waiting = True
            else:
                if waiting:
                    print_line("lease: the other driver is gone; the launch goes on", console)
                return lease
            if stop():
                return None
            time.sleep(LOOK_SECONDS)

    def _checked_by_nodes(self, ledger: Ledger) -> WorkerConfig:
        """With what each node is asked before it runs a trial; for a study that is there."""
        config = self.worker_config
        check = NodeCheck(
            storage=config.storage,
            marker=STUDY_FILE,
            digest=sha256(ledger.storage.read(STUDY_FILE) or b""),
            url=wandb_url(config.tracking),
            wanted=provenance(),
        )
        return replace(config, check=check)

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
        options, request = self.options, self.study.request
        say = partial(print_line, console=console)
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
            accelerator=request.accelerator,
            # A Ray of the launch's own has one node, and nobody to label it.
            labels=request.labels if options.address else {},
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
        """Of a trial: unless asked, for the threads of each of its processes."""
        gpus = self.options.gpus_on(self.worker_config.device)
        count = 1 if gpus == "auto" else processes_on(gpus)
        return self.options.cpus_per_trial or count * self.study.protocol.threads

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

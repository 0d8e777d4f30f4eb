"""From a study's name to a finished study: check everything, then run what is missing, then
report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console

from pipelines.board import Board, progress
from pipelines.campaign import Campaign
from pipelines.data import Task, prepare
from pipelines.doctor import examine_cluster, examine_here, wandb_url
from pipelines.errors import Interrupted, UserError
from pipelines.ledger import Ledger, Trial
from pipelines.models import build
from pipelines.planner import data_seed
from pipelines.provenance import origin, own_modules, provenance
from pipelines.setting import ALL_FAST, FastPaths, Gpus, Resources, Setting
from pipelines.signals import StopSignals
from pipelines.sources import load_dataset
from pipelines.storage import STORAGE_ERRORS, reason_of
from pipelines.study import Protocol, Study, protocol_hash, varied
from pipelines.tracking_mode import resolve_mode


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
        setting = Setting(
            storage=_absolute(storage),
            study=study.name,
            protocol=document["protocol"],
            device=device,
            tracking=mode,
            tracking_dir=str(Path(tracking_dir).resolve()),
            commit=provenance()["commit"],
            checkpoint_seconds=options.checkpoint_seconds,
            fast=options.fast,
        )
        try:
            finished = _drive(study, document, setting, options, console, signals)
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
    setting: Setting,
    options: Options,
    console: Console,
    stop: Callable[[], bool],
) -> bool:
    """Drive from here, or from the cluster if only a Ray client reaches it; whether all has run."""
    examine = partial(_examine, setting, options.address, console)
    if not (options.address or "").startswith("ray://"):
        return _drive_here(study, document, setting, options, examine, console, stop)
    from pipelines.client import drive_on_head  # imports ray, which takes seconds

    assert options.address
    there = partial(_drive_here, study, document, setting, options, _examined)
    return drive_on_head(options.address, there, examine, console, stop)


def _examined() -> None:
    """The client has looked at the nodes: it alone can tell whether they see its storage."""


def _drive_here(
    study: Study,
    document: dict[str, Any],
    setting: Setting,
    options: Options,
    examine: Callable[[], None],
    console: Console,
    stop: Callable[[], bool],
) -> bool:
    """Run what is missing, as the study's one driver; whether all has run."""
    ledger = Ledger.open(setting.storage)
    with ledger.acquire_lease(options.takeover) as lease:
        campaign = Campaign(study, document["hash"], ledger, options.retry)
        if not (options.allow_mixed or campaign.finished):
            refuse_mixture(campaign.trials.values(), setting)
        ledger.create_study(document)
        ledger.write_request(_request(study))
        _run(campaign, setting, options, examine, console, lambda: stop() or lease.lost)
        if lease.lost:
            raise UserError(f"storage {setting.storage!r}: another driver has taken the study over")
        campaign.write_index()
        return campaign.finished


def _run(
    campaign: Campaign,
    setting: Setting,
    options: Options,
    examine: Callable[[], None],
    console: Console,
    stop: Callable[[], bool],
) -> None:
    resources = _resources(campaign.study, options, setting.device)
    board = Board(campaign.planner, workers=_workers(options, resources))
    for trial in campaign.trials.values():
        board.add(trial)
    with progress(board, console) as on_end:
        if campaign.finished:
            console.print(f"{campaign.study.name} is complete: nothing is missing.", markup=False)
            return
        if options.executor == "inline":
            from pipelines.executor_inline import run_inline  # loads W&B

            run_inline(campaign, setting, on_end, stop)
        else:
            from pipelines.sweep import run_on_ray  # imports ray, which takes seconds

            say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
            run_on_ray(campaign, setting, resources, options.address, on_end, stop, examine, say)


def _examine(setting: Setting, address: str | None, console: Console) -> None:
    """`doctor` in short form: an error on any machine ends the launch before its first trial."""
    look = examine_cluster if address else examine_here
    _, findings = look(setting.storage, wandb_url(setting.tracking))
    for finding in findings:
        if finding.level == "error":
            raise UserError(str(finding).removeprefix("error: "))
        console.print(str(finding), markup=False, highlight=False, soft_wrap=True)


def refuse_mixture(finished: Iterable[Trial], setting: Setting) -> None:
    """Finished trials must come from the code, the torch and the fast paths of this launch, or they
    do not compare.

    Raises:
        UserError: some do not.
    """
    others, changed = 0, set[tuple[str, str, str]]()
    for trial in finished:
        if trial.result is None:
            continue
        made_by = provenance(own_modules(trial.spec, setting.protocol))
        here = origin(made_by | {"without": setting.fast.left_out()})
        there = origin(trial.result["provenance"])
        others += there != here
        names = [name for name in here if there.get(name) != here[name]]
        changed |= {(name, there.get(name, "unknown"), here[name]) for name in names}
    if not others:
        return
    differences = [f"{name} {there[:12]} there, {here[:12]} here" for name, there, here in changed]
    raise UserError(
        f"{others} finished trials come from elsewhere: {'; '.join(sorted(differences))}. Results "
        "may not compare: go back to what they were made with, give another --storage, or mix them "
        "with --allow-mixed (the report says so)"
    )


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


def check(study: Study) -> str:
    """Read the data, make the splits of every repeat, build the model: whatever fails, fails now.

    Returns the fingerprint of the data.
    """
    for scenario, change in study.scenarios.items():
        protocol = varied(study.protocol, change)
        for repeat in range(study.request.repeats):
            task = prepare(protocol, data_seed(study, repeat, scenario))
        _check_model(protocol, task)
    return load_dataset(study.protocol.data).fingerprint


def _check_model(protocol: Protocol, task: Task) -> None:
    model = build(protocol.model, task.input_shape, len(task.classes)).eval()
    example = task.normalise(task.meta.x[:2])
    try:
        with torch.no_grad():
            shape = tuple(model(example).shape)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"model {protocol.model.name!r} fails on input {tuple(example.shape)}: {reason}"
        ) from None
    expected = (len(example), len(task.classes))
    if shape != expected:
        raise UserError(f"model {protocol.model.name!r} gives {shape}, expected {expected}")


def choose_device(requested: str, address: str | None = None) -> str:
    """cpu or cuda. A cluster at `address` has GPUs if the user says so: a driver need not have any.

    Raises:
        UserError: CUDA was asked for here and is not there.
    """
    if requested == "cuda" and address:
        return "cuda"
    if requested == "cuda" and not torch.cuda.is_available():
        raise UserError("device 'cuda' is not available here; use --device cpu or auto")
    return "cuda" if requested != "cpu" and torch.cuda.is_available() else "cpu"


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


def _same_protocol(storage: str, there: dict[str, Any] | None, here: dict[str, Any]) -> None:
    if there is None or there["hash"] == here["hash"]:
        return
    before, now = _flat(there["protocol"]), _flat(here["protocol"])
    changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    differences = [f"{n} is {before.get(n)!r} there, {now.get(n)!r} here" for n in changed]
    if there["fingerprint"] != here["fingerprint"]:
        differences.append("the content of the data differs")
    raise UserError(
        f"storage {storage!r} holds a study under another protocol ({'; '.join(differences)}): "
        "give another --storage"
    )


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, part in value.items():
        found |= (
            _flat(part, f"{prefix}{name}.") if isinstance(part, dict) else {f"{prefix}{name}": part}
        )
    return found


def _absolute(storage: str) -> str:
    """Workers may have another working directory."""
    return storage if "://" in storage else str(Path(storage).resolve())

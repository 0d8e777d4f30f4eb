"""From a study's name to a finished study: check everything, then run what is missing, then report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.live import Live

from pipelines.board import Board, clock
from pipelines.campaign import Campaign
from pipelines.data import prepare
from pipelines.errors import Interrupted, UserError
from pipelines.executor_inline import run_inline
from pipelines.ledger import Ledger, Trial
from pipelines.models import build
from pipelines.planner import data_seed
from pipelines.sources import load_dataset
from pipelines.study import Study, protocol_hash
from pipelines.tracking import resolve_mode
from pipelines.worker import Resources, Setting

SILENT_SECONDS = 15.0


@dataclass(frozen=True)
class Options:
    """How a launch runs; none of it changes a number."""

    storage: str | None = None
    executor: Literal["ray", "inline"] = "ray"
    wandb: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    concurrent: int | None = None
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None


def launch(study: Study, options: Options, console: Console) -> str:
    """Run what is missing of a study; its storage.

    Everything a user may have got wrong is found before anything is written.

    Raises:
        UserError: the study cannot run here, or its storage holds another one.
        Interrupted: it was asked to stop; the same command goes on.
    """
    device = choose_device(options.device)
    fingerprint = check(study)
    mode = resolve_mode(options.wandb)
    storage = options.storage or f"runs/{study.name}"
    ledger = Ledger.open(storage)
    document = _document(study, fingerprint)
    _same_protocol(storage, ledger.study(), document)
    with ledger.acquire_lease():
        ledger.create_study(document)
        ledger.write_request(_request(study))
        campaign = Campaign(study, document["hash"], ledger)
        tracking_dir = storage if "://" not in storage else f"runs/{study.name}"
        protocol = document["protocol"]
        where = str(Path(tracking_dir).resolve())
        setting = Setting(_absolute(storage), study.name, protocol, device, mode, where)
        _run(campaign, setting, options, console)
        ledger.write_index()
    return storage


def _run(campaign: Campaign, setting: Setting, options: Options, console: Console) -> None:
    resources = _resources(campaign.study, options, setting.device)
    board = Board(campaign.planner, workers=_workers(options, resources))
    for trial in campaign.trials.values():
        board.add(trial)
    with progress(board, console) as on_end:
        if options.executor == "inline":
            try:
                run_inline(campaign, setting, on_end)
            except KeyboardInterrupt:
                raise Interrupted from None
        else:
            from pipelines.sweep import run_on_ray  # imports ray, which takes seconds

            run_on_ray(campaign, setting, resources, on_end)


def _resources(study: Study, options: Options, device: str) -> Resources:
    gpus = options.gpus_per_trial
    return Resources(
        cpus=options.cpus_per_trial or study.protocol.threads,
        gpus=gpus if gpus is not None else float(device == "cuda"),
        concurrent=options.concurrent,
    )


def _workers(options: Options, resources: Resources) -> int:
    if options.executor == "inline":
        return 1
    fit = max(1, int((torch.get_num_threads() or 1) / resources.cpus))
    return min(fit, options.concurrent or fit)


def check(study: Study) -> str:
    """Read the data, make the splits of every repeat, build the model: whatever fails, fails now.

    Returns the fingerprint of the data.
    """
    protocol = study.protocol
    fingerprint = load_dataset(protocol.data).fingerprint
    for repeat in range(study.request.repeats):
        task = prepare(protocol, data_seed(study, repeat))
    model = build(protocol.model, task.input_shape, len(task.classes)).eval()
    example = task.normalise(task.meta.x[:2])
    try:
        with torch.no_grad():
            shape = tuple(model(example).shape)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"model {protocol.model.name!r} fails on input {tuple(example.shape)}: {reason}") from None
    if shape != (len(example), len(task.classes)):
        raise UserError(
            f"model {protocol.model.name!r} gives {shape}, expected {(len(example), len(task.classes))}"
        )
    return fingerprint


def choose_device(requested: str) -> str:
    """cpu or cuda.

    Raises:
        UserError: CUDA was asked for and is not there.
    """
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
        found |= _flat(part, f"{prefix}{name}.") if isinstance(part, dict) else {f"{prefix}{name}": part}
    return found


def _absolute(storage: str) -> str:
    """Workers may have another working directory."""
    return storage if "://" in storage else str(Path(storage).resolve())


@contextmanager
def progress(board: Board, console: Console) -> Iterator[Callable[[Trial], None]]:
    """A live table on a terminal; elsewhere a line from time to time. Yields what to call with each ended trial."""
    if console.is_terminal:
        with Live(board.table(), console=console, refresh_per_second=4, transient=True) as live:

            def redraw(trial: Trial) -> None:
                board.add(trial)
                live.update(board.table())

            yield redraw
        console.print(board.table())
        return
    said = 0.0

    def say(trial: Trial) -> None:
        nonlocal said
        board.add(trial)
        if time.monotonic() - said > SILENT_SECONDS:
            said = time.monotonic()
            state = board.as_json()
            console.print(f"{state['done']}/{state['planned']} trials, ETA {clock(board.eta())}")

    yield say
    console.print(board.table())

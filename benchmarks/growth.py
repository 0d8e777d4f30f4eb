"""What grows with what: a step with epochs, batch and model, bookkeeping with trials.

    python -m benchmarks.growth [--json FILE]

Steps are of plain training, L2RW and Meta-Weight-Net. A study of N finished trials hands out more:
what the driver spends on each, from asking for it to having its result. All in the process's own
seconds, so that neither other processes nor the disk count.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.ledger import fill, large_study
from benchmarks.steppers import Case, Shape, Stepper, make_trial
from benchmarks.timing import interleaved, warm_up
from pipelines.execution.job_queue import JobQueue
from pipelines.ledger.ledger import Ledger
from pipelines.planning.specs import default_spec
from pipelines.study.study_file import Study, load_study
from pipelines.training.trial import TrainingRun
from pipelines.trial_documents import TrialResult

CPU = torch.device("cpu")
ARMS = ("ce", "l2rw", "mw_net")
EPOCHS, ROUNDS, JOBS = 1000, 5, 100
FLAT = {"epochs", "trials", "classes"}  # these should cost nothing; with others a step is linear
Record = dict[str, Any]

BATCHES = [Shape("resnet32", batch) for batch in (12, 25, 50, 100)]
WIDTHS = [Shape("cnn", 50, options={"width": width}) for width in (8, 16, 32, 64)]
HIDDEN = [Shape("mlp", 100, options={"hidden": (h,)}) for h in (128, 512, 2048, 8192)]
CLASSES = [Shape("resnet32", 100, classes=classes) for classes in (10, 100)]


def epochs(arm: str) -> list[Record]:
    """Milliseconds of an epoch's steps and of a snapshot, in each fifth of a long trial."""
    study = load_study("digits")
    schedule = study.protocol.schedule.model_copy(update={"epochs": EPOCHS})
    protocol = study.protocol.model_copy(update={"schedule": schedule})
    trial = TrainingRun(
        default_spec(study.model_copy(update={"protocol": protocol}), study.arm(arm)), CPU
    )
    times, snapshots = [], []
    began = time.process_time()
    for progress in trial.steps():
        if progress.row is None:
            continue
        times.append(time.process_time() - began)
        began = time.process_time()
        progress.snapshot()
        snapshots.append(time.process_time() - began)
        began = time.process_time()
    fifth = len(times) // 5
    return [
        {
            "grows": "epochs",
            "arm": arm,
            "size": (n + 1) * fifth,
            "ms": 1e3 * statistics.median(times[n * fifth : (n + 1) * fifth]),
            "ms_snapshot": 1e3 * statistics.median(snapshots[n * fifth : (n + 1) * fifth]),
        }
        for n in range(5)
    ]


def steps(name: str, shapes: list[Shape], size: Callable[[Shape], float]) -> list[Record]:
    """Milliseconds of a step by size."""
    records = []
    for arm in ARMS:
        works = [Stepper(Case(arm), make_trial(s, arm, CPU), s.batch) for s in shapes]
        for work in works:
            warm_up(work, CPU)
        columns = interleaved([*works], 2, ROUNDS, CPU)
        milliseconds = [1e3 * statistics.median(column) for column in columns]
        for shape, ms in zip(shapes, milliseconds, strict=True):
            records.append({"grows": name, "arm": arm, "size": size(shape), "ms": ms})
    return records


def megaflops(shape: Shape) -> float:
    """Millions of multiplications and additions of a forward pass of one batch."""
    trial = make_trial(shape, "ce", CPU)
    with FlopCounterMode(display=False) as counter:
        trial.training.network.evaluate([torch.zeros(shape.batch, 3, 32, 32)])
    return counter.get_total_flops() / 1e6


def trials(finished: int) -> Record:
    """Milliseconds of the driver for each trial, beside that many finished ones."""
    study = large_study(finished)
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        count = fill(folder, study)
        ledger = Ledger.open(folder)
        document = ledger.study()
        assert document is not None
        queue = JobQueue(_larger(study), document["hash"], ledger)
        result = dict(next(iter(ledger.trials().values())).result or {})
        times = [_job(queue, ledger, result) for _ in range(JOBS)]
    return {"grows": "trials", "arm": "all", "size": count, "ms": 1e3 * statistics.median(times)}


def _larger(study: Study) -> Study:
    request = study.request.model_copy(update={"seeds": study.request.seeds + JOBS})
    return study.model_copy(update={"request": request})


def _job(queue: JobQueue, ledger: Ledger, result: Record) -> float:
    began = time.process_time()
    job = queue.next()
    asked = time.process_time() - began
    assert job is not None
    key = job.spec["key"]
    ledger.attempt(key, job.attempt).finish(cast(TrialResult, result), [])  # a worker does this
    began = time.process_time()
    queue.ended(key)
    return asked + time.process_time() - began


def table(records: list[Record]) -> Table:
    """Each size, and how time compares with the first's, per unit of size where it should grow."""
    shown = Table("grows", "arm")
    for column in ("size", "ms", "of the first's", "snapshot, ms"):
        shown.add_column(column, justify="right")
    first: dict[tuple[str, str], float] = {}
    for r in records:
        per = r["ms"] / (1 if r["grows"] in FLAT else r["size"])
        share = per / first.setdefault((r["grows"], r["arm"]), per)
        snapshot = f"{r['ms_snapshot']:.2f}" if "ms_snapshot" in r else ""
        shown.add_row(
            r["grows"], r["arm"], f"{r['size']:.0f}", f"{r['ms']:.3g}", f"{share:.2f}", snapshot
        )
    return shown


def main(file: Annotated[Path | None, typer.Option("--json")] = None) -> None:
    """Measure, print, and write the records."""
    records = [trials(n) for n in (100, 1000, 10_000)]
    for arm in ARMS:
        records += epochs(arm)
    records += steps("batch", BATCHES, lambda shape: shape.batch)
    records += steps("classes", CLASSES, lambda shape: shape.classes)
    records += steps("cnn, Mflop", WIDTHS, megaflops)
    records += steps("mlp, Mflop", HIDDEN, megaflops)
    Console().print(table(records))
    if file:
        file.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    typer.run(main)

"""What a training step costs: plain, meta-learned in every way there is, and with peers' libraries.

    python -m benchmarks.step [--models mlp,resnet32,wrn_28_10] [--device cpu|cuda] [--rounds N]
                              [--grow batch,width,classes] [--json FILE]

All steps are those of real trials on random images. In each round every one is timed once, and
divided by the plain step of that round; shown are medians, and quartiles as the spread. "Count" is
the passes by arithmetic, "work" what layers multiply, both of the plain step's. On a CPU
seconds are the process's own, so that other processes disturb less; on a GPU they are wall time.
Peak memory is what a step allocates at most beyond what was there before it; "of all" counts what
a trial holds between its steps too: model, meta-parameters, optimizers' state.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.peers import PEERS, installed
from benchmarks.steppers import (
    CASES,
    Case,
    Shape,
    Stepper,
    flat,
    loader,
    make_trial,
)
from benchmarks.timing import (
    SHORTEST,
    Record,
    held_bytes,
    interleaved,
    multiplications,
    ratios,
    seconds_of,
    warm_up,
)
from pipelines.study.phases import Meta

BATCH = {"mlp": 100, "resnet32": 100, "wrn_28_10": 100}
CPU_BATCH = {"mlp": 100, "resnet32": 100, "wrn_28_10": 4}
WIDTHS = {"mlp": (64, 256, 1024), "wrn_28_10": (1, 2, 4)}


def measure(
    shape: Shape,
    device: torch.device,
    rounds: int,
    cases: Iterable[Case] = CASES,
    shortest: float = SHORTEST,
) -> list[Record]:
    """All cases on one shape, and the share of the data path; ratios are to the plain step.

    shortest: seconds of one measurement.
    """
    steppers, counted, failed = _first_steps(shape, device, cases)
    works: list[Callable[[], None]] = [*steppers, loader(steppers[0].training)]
    peaks = [warm_up(work, device) for work in works]
    held = [held_bytes(stepper.training) for stepper in steppers]
    repeats = max(1, round(shortest / seconds_of(works[0], 1, device)))
    columns = interleaved(works, repeats, rounds, device)
    common = flat(shape) | {"device": _name(device), "torch": torch.__version__}
    records = []
    for stepper, seconds, peak, rest, multiplied in zip(
        steppers, columns, peaks, held, counted, strict=False
    ):
        case = stepper.case
        how = stepper.phase.meta.model_dump(
            include={"engine", "lookahead", "graph", "step", "last_layers", "horizon", "terms"}
        )
        known: Record = {"arm": case.arm, "peer": case.peer, "without": " ".join(case.without)}
        known |= how if case.arm != "ce" else {}
        known["count"] = stepper.passes / (3 * shape.batch)
        known["flops"] = multiplied
        known["multiplications_ratio_to_plain"] = multiplied / counted[0]
        known |= stepper.recording()
        known |= {"peak_bytes": peak, "peak_ratio_to_plain": peak / peaks[0]}
        known["allocated_ratio_to_plain"] = (peak + rest) / (peaks[0] + held[0])
        records.append(common | known | ratios(seconds, columns[0], shape.batch))
    data_path: Record = {"arm": "loader", "peer": None, "count": 0.0}
    records += [common | record for record in failed]
    return [*records, common | data_path | ratios(columns[-1], columns[0], shape.batch)]


def _first_steps(
    shape: Shape, device: torch.device, cases: Iterable[Case]
) -> tuple[list[Stepper], list[int], list[Record]]:
    """All that take a step, none of them recorded yet; what they multiply; and those that fail.

    The first is the plain one.
    """
    there = [case for case in cases if case.peer is None or installed(case.peer)]
    wanted = dict.fromkeys((case.arm, case.without) for case in there)
    trials = {(arm, out): make_trial(shape, arm, device, out) for arm, out in wanted}
    # All are made before one takes a step, which changes the phase of its trial.
    made = [Stepper(case, trials[case.arm, case.without], shape.batch) for case in there]
    steppers, counted, failed = [], [], []
    for stepper in made:
        try:
            counted.append(multiplications(stepper))
            steppers.append(stepper)
        except Exception as error:  # of one way to take a step; the others are measured
            how = {"arm": stepper.case.arm, "peer": stepper.case.peer, **stepper.case.meta}
            failed.append(how | {"failed": f"{type(error).__name__}: {error}"})
    return steppers, counted, failed


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def shapes(models: list[str], grow: list[str], device: str, precision: str) -> list[Shape]:
    """One shape for each model, and those that it grows through."""
    batches = BATCH if device == "cuda" else CPU_BATCH
    found = []
    for model in models:
        batch = batches[model]
        base = Shape(model, batch, precision=precision)
        found.append(base)
        if "batch" in grow:
            found += [replace(base, batch=n) for n in (batch // 4, batch // 2, 2 * batch)]
        if "classes" in grow and batch >= 100:
            found.append(replace(base, classes=100))
        if "width" in grow and model in WIDTHS:
            name = "hidden" if model == "mlp" else "width"
            values = [(w,) if model == "mlp" else w for w in WIDTHS[model]]
            found += [replace(base, options={name: value}) for value in values]
    return found


def table(records: list[Record]) -> Table:
    """The records of one shape."""
    first = records[0]
    title = "{model}, batch {batch} + {batch}, {classes} classes, {precision}, {device}".format(
        **first
    )
    shown = Table(title=f"{title} {first['options']}", title_justify="left")
    for column in (
        "step",
        "count",
        "work",
        "time",
        "quartiles",
        "peak",
        "of all",
        "seconds",
        "images/s",
    ):
        shown.add_column(column, justify="left" if column == "step" else "right", no_wrap=True)
    for r in records:
        if "failed" in r:
            shown.add_row(" ".join(filter(None, [r["arm"], r["peer"]])), r["failed"])
            continue
        usual = Meta().model_dump()
        how = [
            r[n] for n in ("engine", "lookahead", "graph", "step") if n in r and r[n] != usual[n]
        ]
        if r.get("last_layers"):
            how.append(f"last {r['last_layers']}")
        if r.get("horizon", 1) > 1:
            how.append(f"horizon {r['horizon']}")
        if r.get("terms", usual["terms"]) != usual["terms"]:
            how.append(f"terms {r['terms']}")
        how += [f"without {r['without']}"] if r.get("without") else []
        shown.add_row(
            " ".join([r["arm"], *([r["peer"]] if r["peer"] else how)]),
            f"{r['count']:.2f}",
            f"{r['multiplications_ratio_to_plain']:.2f}" if r["count"] else "",
            f"{r['ratio_to_plain']:.3g}",
            f"{r['ratio_low']:.3g}-{r['ratio_high']:.3g}",
            f"{r['peak_ratio_to_plain']:.2f}" if "peak_ratio_to_plain" in r else "",
            f"{r['allocated_ratio_to_plain']:.2f}" if "allocated_ratio_to_plain" in r else "",
            f"{r['seconds']:.3g}",
            f"{r['images_per_second']:.0f}",
        )
    return shown


def main(
    models: Annotated[str, typer.Option()] = "mlp,resnet32,wrn_28_10",
    grow: Annotated[str, typer.Option(help="batch, width, classes")] = "",
    device: Annotated[str, typer.Option()] = "cuda" if torch.cuda.is_available() else "cpu",
    precision: Annotated[str, typer.Option()] = "float32",
    rounds: Annotated[int, typer.Option(min=1)] = 7,
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Print the tables, and write the records."""
    console, records = Console(width=120), []
    for name in [name for name in PEERS if not installed(name)]:
        console.print(f"{name}: not installed, skipped")
    for shape in shapes(models.split(","), grow.split(","), device, precision):
        found = measure(shape, torch.device(device), rounds)
        gc.collect()  # a stepper and its draws hold each other, and their recordings
        console.print(table(found))
        records += found
        if file:
            file.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    typer.run(main)

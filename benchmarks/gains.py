"""What each fast path gains: a step without it, beside the same step with all of them.

    python -m benchmarks.gains [--models mlp,resnet32] [--device cpu|cuda] [--rounds N]
                               [--json FILE]

Of random images with crops and flips, timed as in `benchmarks.step`: in each round every way is
taken once, and divided by the fast one of that round. What gains less than 3 % everywhere is not
worth its lines. On a GPU, steps that are not fused, or not gathered, cannot be recorded: these
ratios hold the loss of the recording too.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.step import shapes
from benchmarks.steppers import Case, Shape, Stepper, flat, make_trial
from benchmarks.timing import SHORTEST, Record, interleaved, ratios, seconds_of, warm_up
from pipelines.training.fast_paths import FastPaths

ARMS = ("ce", "l2rw", "mw_net")
ROUNDS = 15


def measure(
    shape: Shape, device: torch.device, rounds: int = ROUNDS, shortest: float = SHORTEST
) -> list[Record]:
    """Each arm's step without each path; the ratio is to the same step with all of them.

    shortest: seconds of one measurement.
    """
    names = [f.name for f in fields(FastPaths) if f.name != "cuda_graph" or device.type == "cuda"]
    found = []
    for arm in ARMS:
        ways: list[tuple[str, ...]] = [(), *((name,) for name in names)]
        steps = [
            Stepper(Case(arm, without=way), make_trial(shape, arm, device, way), shape.batch)
            for way in ways
        ]
        for step in steps:
            warm_up(step, device)
        repeats = max(1, round(shortest / seconds_of(steps[0], 1, device)))
        columns = interleaved([*steps], repeats, rounds, device)
        for name, step, seconds in zip(names, steps[1:], columns[1:], strict=True):
            record = flat(shape) | {"arm": arm, "without": name, "device": device.type}
            record |= step.recording() | {"all_replayed": steps[0].recording()["steps_replayed"]}
            found.append(record | ratios(seconds, columns[0], shape.batch))
    return found


def table(records: list[Record]) -> Table:
    """How much longer a step takes without a path."""
    first = records[0]
    shown = Table("arm", "without", title="{model}, batch {batch}".format(**first))
    for column in ("time", "quartiles", "seconds"):
        shown.add_column(column, justify="right")
    for r in records:
        spread = f"{r['ratio_low']:.3f}-{r['ratio_high']:.3f}"
        shown.add_row(
            r["arm"], r["without"], f"{r['ratio_to_plain']:.3f}", spread, f"{r['seconds']:.3g}"
        )
    return shown


def main(
    models: Annotated[str, typer.Option()] = "mlp,resnet32",
    device: Annotated[str, typer.Option()] = "cuda" if torch.cuda.is_available() else "cpu",
    rounds: Annotated[int, typer.Option(min=2)] = ROUNDS,
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Print the tables, and write the records."""
    records = []
    for shape in shapes(models.split(","), [], device, "float32"):
        found = measure(shape, torch.device(device), rounds)
        Console().print(table(found))
        records += found
        if file:
            file.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    typer.run(main)

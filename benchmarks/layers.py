"""Which layers' moves lower the loss on clean examples, and which raise it: loss change allocation.

    python -m benchmarks.layers OUT [--trec FOLDER] [--repeats N] [--minutes M]

Of arms on digits with 40 % flipped labels, and on TREC's questions under the labels of rules
(FOLDER has trec.npz and labels.csv). At every step the change of the mean cross-entropy on val,
whose labels are clean, is divided among the parameters: the integral of its gradient along the
step, by Simpson's rule (Lan, Liu, Zhou and Yosinski, "LCA: Loss change allocation for neural
network training", NeurIPS 2019, section 2). What layers get adds up to the change of the loss.
Shown are sums over the first and the second half of the epochs, with Student's intervals over
repeats.
OUT/records.jsonl has a line for each run and goes on; OUT/layers.html is the figure.
"""

from __future__ import annotations

import time
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Annotated

import plotly.graph_objects as go
import torch
import typer
from plotly.subplots import make_subplots
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from benchmarks.horizons import protocols
from benchmarks.record_file import Record, Records
from pipelines.analysis.intervals import t_interval
from pipelines.study.arms import resolve_arm
from pipelines.study.protocol import Protocol, with_changes
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.trial import TrainingRun

ARMS = {
    "ce": "#4a76b8",
    "gce": "#c8553d",
    "l2rw": "#3d8f5f",
    "mw_net": "#8a63b0",
    "finetune": "#777",
}
HALVES = ("first half", "second half")
EPOCHS = {"digits": 40, "trec": 14}
Parameters = dict[str, Tensor]


class Allocation:
    """Divides the change of a loss among the layers of a model that is being trained.

    x [N, ...], y [N]: the examples. The loss is taken in eval mode, so that what BatchNorm's
    statistics change is nobody's.
    """

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor) -> None:
        self.model, self._x, self._y = model, x, y
        self._before = self._now()
        self.loss, self._gradients = self._at(self._before)

    def step(self) -> dict[str, float]:
        """By layer its part of the change since the last call, by Simpson's rule."""
        after = self._now()
        middle = {name: (self._before[name] + after[name]) / 2 for name in after}
        (_, between), (self.loss, end) = self._at(middle), self._at(after)
        parts: dict[str, float] = defaultdict(float)
        for name, value in after.items():
            slope = (self._gradients[name] + 4 * between[name] + end[name]) / 6
            parts[name.rpartition(".")[0]] += float((slope * (value - self._before[name])).sum())
        self._before, self._gradients = after, end
        return dict(parts)

    def _now(self) -> Parameters:
        named = self.model.named_parameters()
        return {name: value.detach().clone() for name, value in named}

    @torch.enable_grad()
    def _at(self, parameters: Parameters) -> tuple[float, Parameters]:
        leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
        training = self.model.training
        self.model.eval()
        loss = cross_entropy(functional_call(self.model, leaves, (self._x,)), self._y)
        self.model.train(training)
        gradients = torch.autograd.grad(loss, [*leaves.values()])
        return loss.item(), dict(zip(leaves, gradients, strict=True))


def measure(protocol: Protocol, arm: str, repeat: int) -> Record:
    """By half of the epochs and layer the change of the loss on val; and its whole change."""
    phases = tuple(resolve_arm(arm, {}).resolve({}))
    spec = TrainingSpec(protocol, phases, data_seed=repeat, run_seed=repeat)
    run = TrainingRun(spec, torch.device("cpu"))
    val = run.task.val
    allocation = Allocation(run.model, run.task.normalise(val.x[:]), val.y)
    start, total = allocation.loss, sum(run.lengths)
    parts: list[dict[str, float]] = [defaultdict(float) for _ in HALVES]
    for progress in run.steps():
        epochs = len(run.history) - (progress.row is not None)
        for layer, change in allocation.step().items():
            parts[2 * epochs >= total][layer] += change
    return {"halves": [dict(part) for part in parts], "change": allocation.loss - start}


def table(records: list[Record]) -> Table:
    """Means over repeats, with their intervals."""
    first = records[0]["halves"][0]
    shown = Table("set", "arm", "n", "epochs", *first, "all layers")
    for (name, arm), half in product(_cells(records), range(2)):
        cell = [r["halves"][half] for r in records if (r["set"], r["arm"]) == (name, arm)]
        columns = [[part[layer] for part in cell] for layer in cell[0]]
        columns.append([sum(part.values()) for part in cell])
        shown.add_row(name, arm, str(len(cell)), HALVES[half], *map(_shown, columns))
    return shown


def _cells(records: list[Record]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((r["set"], r["arm"]) for r in records))


def _shown(values: list[float]) -> str:
    mean = sum(values) / len(values)
    if len(values) < 3:
        return f"{mean:+.3f}"
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(mean, *t_interval(values))


def figure(records: list[Record]) -> go.Figure:
    """Bars by layer and arm: below zero a layer's moves lowered the loss on clean examples."""
    sets = list(dict.fromkeys(r["set"] for r in records))
    titles = [f"{name}, {half}" for half, name in product(HALVES, sets)]
    shown = make_subplots(rows=2, cols=len(sets), subplot_titles=titles, vertical_spacing=0.12)
    for half, (column, name), arm in product(range(2), enumerate(sets, 1), ARMS):
        cell = [r["halves"][half] for r in records if (r["set"], r["arm"]) == (name, arm)]
        if not cell:
            continue
        layers = {layer: [part[layer] for part in cell] for layer in cell[0]}
        ends = [t_interval(values) for values in layers.values()]
        means = [sum(values) / len(values) for values in layers.values()]
        bars = go.Bar(
            x=[f"layer {n}" for n in range(1, len(layers) + 1)],
            y=means,
            error_y={
                "array": [high - m for m, (_, high) in zip(means, ends, strict=True)],
                "arrayminus": [m - low for m, (low, _) in zip(means, ends, strict=True)],
            },
            marker_color=ARMS[arm],
            name=arm,
            showlegend=half == 0 and column == 1,
        )
        shown.add_trace(bars, row=half + 1, col=column)
    shown.update_yaxes(title="change of clean loss", col=1)
    title = "Which layers' moves lower the loss on clean examples (95 % intervals over repeats)"
    return shown.update_layout(width=1100, height=760, template="plotly_white", title=title)


def main(
    out: Annotated[Path, typer.Argument()],
    trec: Annotated[Path | None, typer.Option(help="folder of trec.npz and labels.csv")] = None,
    repeats: Annotated[int, typer.Option(min=3)] = 3,
    minutes: Annotated[float, typer.Option(help="then stop; 0: only show")] = 1e9,
) -> None:
    """Run what is missing, print the table, and write the figure."""
    out.mkdir(parents=True, exist_ok=True)
    kept, until = Records(out), time.monotonic() + 60 * minutes
    records = kept.read()
    done = {(r["set"], r["arm"], r["repeat"]) for r in records}
    sets = protocols(trec)
    for repeat, name, arm in product(range(repeats), sets, ARMS):
        if (name, arm, repeat) in done or time.monotonic() >= until:
            continue
        longer = with_changes(sets[name], {"schedule.epochs": EPOCHS[name]})
        records.append({"set": name, "arm": arm, "repeat": repeat} | measure(longer, arm, repeat))
        kept.add(records[-1])
    Console(width=150).print(table(records))
    figure(records).write_html(out / "layers.html", config={"displayModeBar": False})


if __name__ == "__main__":
    typer.run(main)

"""Is a look-ahead of one step short-sighted? Learned values, accuracy and cost at longer ones.

    python -m benchmarks.horizons OUT [--trec FOLDER] [--sets digits,trec] [--repeats N]
                                      [--minutes M]

Arms that learn a weight function (mw_net), a loss's q, a weight decay or a learning rate, on digits
with 40 % flipped labels and on TREC's questions under the labels of rules (FOLDER has trec.npz and
labels.csv). Each look-ahead has the same repeats: splits, noise, first weights, batches; so that
differences to one step are paired, and intervals are Student's over repeats. OUT/records.jsonl has
a line for each finished trial: a run that was stopped, or whose minutes are over, goes on there.
OUT/horizons.html is the figure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Annotated

import plotly.graph_objects as go
import typer
from plotly.subplots import make_subplots
from rich.console import Console
from rich.table import Table

from benchmarks.record_file import Record, Records
from pipelines.analysis.intervals import t_interval
from pipelines.study.arms import resolve_arm
from pipelines.study.phases import Phase
from pipelines.study.protocol import Protocol
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.trial import run_trial

ONE = "1"
#: Of a look-ahead: how many steps, or what stands in their place.
WAYS: dict[str, Record] = {
    ONE: {},
    "1, ten times longer": {"lookahead_rate": "momentum"},
    "2": {"horizon": 2},
    "5": {"horizon": 5},
    "10": {"horizon": 10},
    "T1-T2": {"engine": "t1_t2"},
    "Neumann, 5 terms": {"engine": "neumann", "terms": 5},
    "conjugate gradient, 5": {"engine": "conjugate_gradient", "terms": 5, "damping": 0.1},
}
#: Arm, what is shown of what it learns, and its name there.
ARMS = {
    "gce_learned": ("learned/q", "q"),
    "lr_learned": ("learned/rate", "rate, of the schedule's"),
    "mw_net": ("weights_auroc", "AUROC of weights"),
    "wd_learned": ("learned/decay", "weight decay"),
}
DIGITS: Record = {
    "data": {"source": "digits"},
    "noise": {"kind": "flip", "rate": 0.4},
    "splits": {"meta": 100, "val": 100, "test": 500},
    "model": {"name": "mlp", "options": {"hidden": [64]}},
    "schedule": {"epochs": 12, "lr": 0.05},
}
TREC: Record = {
    "splits": {"meta": 120, "val": 120},
    "model": {"name": "mlp", "options": {"hidden": [64]}},
    "schedule": {"epochs": 6, "lr": 0.05, "batch_size": 250},
}
COLOURS = {"digits": "#4a76b8", "trec": "#c8553d"}


def protocols(trec: Path | None) -> dict[str, Protocol]:
    """By name of the set."""
    found = {"digits": Protocol.model_validate(DIGITS)}
    if trec is not None:
        labels = {"file": str(trec / "labels.csv"), "label": "rules"}
        data = {"source": "arrays", "path": str(trec / "trec.npz"), "labels": labels}
        found["trec"] = Protocol.model_validate(TREC | {"data": data})
    return found


def spec_of(protocol: Protocol, arm: str, way: str, repeat: int) -> TrainingSpec:
    """The trial of a repeat; numbers that learn go forward over steps, weight functions back."""
    how = dict(WAYS[way])
    if "horizon" in how and arm != "mw_net":
        how["engine"] = "forward_accumulation"
    phases = []
    for phase in resolve_arm(arm, {}).resolve({}):
        values = phase.model_dump()
        phases.append(Phase.model_validate(values | {"meta": values["meta"] | how}))
    return TrainingSpec(protocol, tuple(phases), data_seed=repeat, run_seed=repeat)


def missing(
    records: list[Record], sets: dict[str, Protocol], repeats: int
) -> Iterator[tuple[Record, TrainingSpec]]:
    """Trials that are not recorded yet, arm by arm."""
    done = {(r["set"], r["arm"], r["way"], r["repeat"]) for r in records}
    for arm, repeat, name, way in product(ARMS, range(repeats), sets, WAYS):
        if (name, arm, way, repeat) not in done:
            known = {"set": name, "arm": arm, "way": way, "repeat": repeat}
            yield known, spec_of(sets[name], arm, way, repeat)


def measure(known: Record, spec: TrainingSpec) -> Record:
    """A trial's accuracy on test, what it learned, and what it cost."""
    began, result = time.process_time(), None
    for progress in run_trial(spec):
        result = progress.result or result
    assert result is not None
    learned = ARMS[known["arm"]][0]
    value = result["learned"].get(learned, result["weights_auroc"])
    return known | {
        "accuracy": result["held_out"]["score"]["last"],  # 0 of one that diverged
        "learned": value,
        "passes": result["passes"],
        "seconds": time.process_time() - began,
    }


def column(records: list[Record], name: str, arm: str, way: str, figure: str) -> list[float]:
    """A figure of the trials of one cell, by repeat."""
    cell = [r for r in records if (r["set"], r["arm"], r["way"]) == (name, arm, way)]
    return [float(r[figure] or 0.0) for r in sorted(cell, key=lambda r: r["repeat"])]


def summary(records: list[Record]) -> list[Record]:
    """Means and intervals by set, arm and look-ahead, differences to one step among them."""
    found = []
    for name, arm, way in product(COLOURS, ARMS, WAYS):
        accuracy = column(records, name, arm, way, "accuracy")
        one = column(records, name, arm, ONE, "accuracy")[: len(accuracy)]
        if not accuracy or len(one) < len(accuracy):
            continue
        gain = [100 * (a - b) for a, b in zip(accuracy, one, strict=True)]
        learned = column(records, name, arm, way, "learned")
        passes, seconds = (column(records, name, arm, way, f) for f in ("passes", "seconds"))
        row: Record = {"set": name, "arm": arm, "way": way, "repeats": len(accuracy)}
        row |= {"accuracy": 100 * sum(accuracy) / len(accuracy)}
        row |= {"gain": sum(gain) / len(gain), "gain_interval": t_interval(gain)}
        low, high = t_interval(learned)
        ends = (max(low, 0.0), min(high, 1.0)) if arm == "mw_net" else (low, high)
        row |= {"learned": sum(learned) / len(learned), "learned_interval": ends}
        row |= {"passes": sum(passes) / len(passes), "seconds": sum(seconds) / len(seconds)}
        found.append(row)
    for row in found:
        [one_step] = [r for r in found if (r["set"], r["arm"], r["way"]) == (*_cell(row), ONE)]
        row["cost"] = row["passes"] / one_step["passes"]
    return found


def _cell(row: Record) -> tuple[str, str]:
    return row["set"], row["arm"]


def figure(rows: list[Record]) -> go.Figure:
    """Accuracy beside one step's, and what was learned, by arm and look-ahead with its cost."""
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    titles = [f"{arm}: accuracy, points" for arm in arms]
    titles += [f"{arm}: {ARMS[arm][1]}" for arm in arms]
    shown = make_subplots(rows=2, cols=len(arms), subplot_titles=titles, vertical_spacing=0.3)
    for (place, arm), (shift, name) in product(enumerate(arms, 1), enumerate(COLOURS)):
        cell = [row for row in rows if _cell(row) == (name, arm)]
        for line, value in enumerate(("gain", "learned"), 1):
            bars = [(row[value], *row[f"{value}_interval"]) for row in cell]
            points = go.Scatter(
                x=[list(WAYS).index(row["way"]) + 0.24 * shift - 0.12 for row in cell],
                y=[mean for mean, *_ in bars],
                error_y={
                    "array": [high - mean for mean, _, high in bars],
                    "arrayminus": [mean - low for mean, low, _ in bars],
                },
                mode="markers",
                marker={"color": COLOURS[name], "size": 7},
                name=name,
                showlegend=place == line == 1,
            )
            shown.add_trace(points, row=line, col=place)
        labels = [f"{row['way']} ({row['cost']:.1f}x)" for row in cell]
        places = [list(WAYS).index(row["way"]) for row in cell]
        shown.update_xaxes(tickvals=places, ticktext=labels, tickangle=-90, col=place)
    shown.add_hline(y=0, line_width=1, line_dash="dot", row=1)  # pyright: ignore[reportArgumentType]
    return shown.update_layout(
        width=1400,
        height=860,
        template="plotly_white",
        legend={"orientation": "h", "x": 0.8, "y": 1.12},
        title="Look-aheads beside one step: on test, and what was learned (95 % intervals)",
    )


def table(rows: list[Record]) -> Table:
    """A row for each set, arm and look-ahead."""
    names = ("set", "arm", "look-ahead", "n", "accuracy", "to one step", "learned", "passes", "s")
    shown = Table(*names)
    for r in rows:
        low, high = r["gain_interval"]
        gain = "" if r["way"] == ONE else f"{r['gain']:+.2f} [{low:+.2f}, {high:+.2f}]"
        shown.add_row(
            r["set"],
            r["arm"],
            r["way"],
            str(r["repeats"]),
            f"{r['accuracy']:.2f}",
            gain,
            "{:.3g} [{:.3g}, {:.3g}]".format(r["learned"], *r["learned_interval"]),
            f"{r['cost']:.2f}",
            f"{r['seconds']:.1f}",
        )
    return shown


def main(
    out: Annotated[Path, typer.Argument()],
    trec: Annotated[Path | None, typer.Option(help="folder of trec.npz and labels.csv")] = None,
    sets: Annotated[str, typer.Option(help="on which to run what is missing")] = "digits,trec",
    repeats: Annotated[int, typer.Option(min=2)] = 3,
    minutes: Annotated[float, typer.Option(help="then stop; 0: only show")] = 1e9,
) -> None:
    """Run what is missing, print the table, and write the figure."""
    out.mkdir(parents=True, exist_ok=True)
    kept, until = Records(out), time.monotonic() + 60 * minutes
    records = kept.read()
    wanted = {name: p for name, p in protocols(trec).items() if name in sets.split(",")}
    for known, spec in missing(records, wanted, repeats):
        if time.monotonic() >= until:
            break
        records.append(measure(known, spec))
        kept.add(records[-1])
    rows = summary(records)
    Console(width=150).print(table(rows))
    figure(rows).write_html(out / "horizons.html", config={"displayModeBar": False})


if __name__ == "__main__":
    typer.run(main)

"""Does an arm need a learning rate of its own? Studies at a quarter, once and four times theirs.

    python -m benchmarks.rates STUDY... --out DIR [--arms ce,clean_only_long,...] [--repeats 3]

A STUDY is a name or a YAML file; its protocol stays, but for `schedule.lr`. No arm is tuned. Each
has a ledger in DIR and goes on where it stood when the command is repeated. Printed is the mean
score on test at each rate, the lowest of the three, and the least difference to `ce` and to
`clean_only_long` at the same rate, paired by repeat; `rates.json` has it, with val and with the
runs that collapsed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pipelines.analysis.record import Record
from pipelines.analysis.runs import difference, overall_mean
from pipelines.commands.launch import Options, launch
from pipelines.metrics import METRICS
from pipelines.report.study_state import StudyState, load_study_state
from pipelines.study.study_file import Study, load_study

FACTORS = (0.25, 1, 4)
BELOW = ("ce", "clean_only_long")  # what no arm should fall below
ARMS = "ce,clean_only_long,finetune_long,l2rw,l2rw_safe,mw_net,gce_learned"
Row = dict[str, Any]


def at_rates(study: Study, arms: Sequence[str], repeats: int, seeds: int) -> Study:
    """The study with these arms as they are by default, at every rate."""
    rate = study.protocol.schedule.lr
    request = study.request.model_copy(
        update={
            "arms": list(arms),
            "trials": 0,
            "repeats": repeats,
            "seeds": seeds,
            "curve": False,
            "sensitivity": [],
            "axes": {"schedule.lr": [factor * rate for factor in FACTORS if factor != 1]},
        }
    )
    return study.model_copy(update={"name": f"{study.name}-rates", "request": request})


def rows(state: StudyState) -> list[Row]:
    """An entry for each arm and rate: scores, in the metric's units, and what it falls below."""
    protocol, entries = state.study.protocol, []
    scale = METRICS[protocol.metric].scale
    for scenario, records in state.records_in.items():
        runs: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            if record.role == "final":
                runs[record.arm].append(record)
        rate = state.study.protocols[scenario].schedule.lr
        tests = {
            arm: {(r.repeat, r.index): scale * r.test[protocol.epoch] for r in of_arm}
            for arm, of_arm in runs.items()
        }
        for arm, of_arm in runs.items():
            entries.append(
                {
                    "arm": arm,
                    "factor": round(rate / protocol.schedule.lr, 6),
                    "val": scale * fmean(r.val for r in of_arm),
                    "test": overall_mean(tests[arm]),
                    "n": len(of_arm),
                    "collapsed": sum(r.collapsed for r in of_arm),
                    "diverged": sum(r.status == "diverged" for r in of_arm),
                }
                | {
                    f"over {other}": overall_mean(difference(tests[arm], tests[other]))
                    for other in BELOW
                    if other in tests and other != arm
                }
            )
    return entries


def table(name: str, entries: Sequence[Row]) -> Table:
    """One line for each arm."""
    shown = Table("arm", *(f"x {f:g}" for f in FACTORS), "lowest", *(f"over {b}" for b in BELOW),
                  "collapsed", title=name)  # fmt: skip
    for arm in dict.fromkeys(entry["arm"] for entry in entries):
        by_factor = {entry["factor"]: entry for entry in entries if entry["arm"] == arm}
        own = [by_factor[f] for f in FACTORS if f in by_factor]
        least = [min((e[k] for e in own if k in e), default=None) for k in
                 (f"over {b}" for b in BELOW)]  # fmt: skip
        shown.add_row(
            arm,
            *(f"{by_factor[f]['test']:.1f}" if f in by_factor else "" for f in FACTORS),
            f"{min(e['test'] for e in own):.1f}",
            *("" if value is None else f"{value:+.1f}" for value in least),
            f"{sum(e['collapsed'] + e['diverged'] for e in own)} of {sum(e['n'] for e in own)}",
        )
    return shown


def main(
    studies: list[str],
    out: Annotated[Path, typer.Option(help="where the ledgers are, and rates.json")],
    arms: Annotated[str, typer.Option(help="separated by commas")] = ARMS,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    seeds: Annotated[int, typer.Option(min=1)] = 1,
    concurrent: Annotated[int, typer.Option(min=1, help="above 1: through Ray")] = 1,
) -> None:
    """Run what is missing, then print and write what came of it."""
    console, every = Console(), {}
    for name in studies:
        study = at_rates(load_study(name), arms.split(","), repeats, seeds)
        options = Options(
            storage=str(out / study.name),
            executor="inline" if concurrent == 1 else "ray",
            wandb="disabled",
            concurrent=None if concurrent == 1 else concurrent,
        )
        storage = launch(study, options, Console(quiet=True)).storage
        every[study.name] = rows(load_study_state(storage)[1])
        console.print(table(study.name, every[study.name]))
        (out / "rates.json").write_text(json.dumps(every, indent=1))


if __name__ == "__main__":
    typer.run(main)

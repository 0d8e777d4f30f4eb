"""What the commands of the command line do, and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines.arms import Arm, describe_distribution, known_arms, method_class, resolve_arm
from pipelines.board import Board, clock
from pipelines.errors import Interrupted, UserError
from pipelines.export import MODEL
from pipelines.launch import Options, launch
from pipelines.records import gather, open_study
from pipelines.study import Study, load_study, studies

INTERRUPTED = 130


def run_launch(
    name: str, request: dict[str, Any], options: dict[str, Any], quick: bool, console: Console
) -> int:
    """Launch a study and report; the exit status."""
    for option, allowed in (("executor", ("ray", "inline")), ("device", ("auto", "cpu", "cuda"))):
        if options[option] not in allowed:
            raise UserError(f"--{option} {options[option]!r}: must be one of {', '.join(allowed)}")
    study = load_study(name, request)
    if quick:
        study = rehearsal(study)
    try:
        storage = launch(study, Options(**options), console)
    except Interrupted:
        where = options["storage"] or f"runs/{study.name}"
        console.print(
            f"Stopped; what had finished is kept in {where}. The same command goes on from there."
        )
        return INTERRUPTED
    show_report(storage, console)
    return 0


def rehearsal(study: Study) -> Study:
    """The same study, short: to see that all of it runs, not to learn from it."""
    schedule = study.protocol.schedule
    short = schedule.model_copy(update={"epochs": max(2, schedule.epochs // 20)})
    return study.model_copy(
        update={
            "name": f"{study.name}-quick",
            "protocol": study.protocol.model_copy(update={"schedule": short}),
            "request": study.request.model_copy(update={"trials": 2, "repeats": 2, "seeds": 1}),
        }
    )


def show_plan(name: str, console: Console) -> None:
    """Trials, passes, time and disk of a study, arm by arm."""
    from pipelines.estimate import estimate
    from pipelines.launch import check

    study = load_study(name)
    check(study)
    found = estimate(study)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("arm")
    for column in ("trials", "passes", "time of one worker", "disk"):
        table.add_column(column, justify="right")
    for arm, e in found.items():
        table.add_row(arm, str(e.trials), f"{e.passes:,}", clock(e.seconds), _size(e.files))
    total = list(found.values())
    table.add_row(
        "all",
        str(sum(e.trials for e in total)),
        f"{sum(e.passes for e in total):,}",
        clock(sum(e.seconds for e in total)),
        _size(sum(e.files for e in total)),
        style="bold",
    )
    console.print(table)
    console.print(
        "Passes: an example forward counts 1, backward 2. Time: measured on this CPU, one worker."
    )


def show_status(storage: str, as_json: bool, console: Console) -> None:
    """How a study stands, from its ledger alone."""
    ledger, findings = gather(storage)
    board = Board(findings.planner)
    for trial in findings.trials.values():
        board.add(trial)
    holder = ledger.driver()
    running = f"running on {holder.host}, process {holder.pid}" if holder else "not running"
    if as_json:
        state = board.as_json() | {"study": findings.study.name, "driver": holder and holder.host}
        print(json.dumps(state))
        return
    console.print(board.table())
    console.print(f"{findings.study.name}: {running}")
    for trial in findings.trials.values():
        if trial.state == "failed":
            error = trial.error or {}
            console.print(
                f"failed: {trial.key}: {error.get('type')}: {error.get('message')}", markup=False
            )


def show_report(storage: str, console: Console) -> None:
    """Write the report and show its table."""
    from pipelines.report import terminal_table, write_report

    paths = write_report(storage)
    _, findings = gather(storage)
    results = findings.results()
    console.print(terminal_table(results))
    for path in paths:
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)
    console.print(f"W&B files: {Path(storage) / 'wandb'}", markup=False, highlight=False)


def run_trial(storage: str, key: str, console: Console) -> int:
    """Run a recorded trial again in this process; 0 if every number is the same, 1 if not."""
    from pipelines.ledger import differences
    from pipelines.training import trial

    ledger, document, _ = open_study(storage)
    recorded = ledger.trial(key)
    if recorded is None:
        raise UserError(f"storage {storage!r} has no trial {key!r}; `status` and trials/ show them")
    result = None
    for progress in trial(recorded.spec | {"protocol": document["protocol"]}):
        if progress.row is not None:
            shown = {n: v for n, v in progress.row.items() if isinstance(v, int | float | str)}
            console.print("  ".join(f"{n} {_number(v)}" for n, v in shown.items()), markup=False)
        result = progress.result
    assert result is not None
    if recorded.result is None:
        console.print(f"{key}: {result['status']}; the ledger has no result to compare with")
        return 0
    differing = differences(recorded.result, result)
    verdict = (
        "differs in " + ", ".join(differing) if differing else "is identical to the recorded one"
    )
    console.print(f"{key}: {result['status']}; the result {verdict}")
    return 1 if differing else 0


def show_best(storage: str, arm: str | None) -> None:
    """The chosen configuration of an arm as JSON, where its model is, and how to load it."""
    _, findings = gather(storage)
    name = arm or _best_arm(findings)
    if name not in findings.study.arms:
        raise UserError(
            f"arm {name!r} is not in this study; it has {', '.join(findings.study.arms)}"
        )
    finals = [
        r for r in findings.records if r.arm == name and r.phase == "final" and r.val == r.val
    ]
    if not finals:
        raise UserError(f"arm {name!r} has no finished final trial yet")
    chosen = max(finals, key=lambda r: (r.val, -r.repeat, -r.index))
    trial = findings.trials[chosen.key]
    assert trial.result is not None
    path = f"{storage}/trials/{chosen.key}/attempts/{trial.result['attempt']}/{MODEL}"
    lines = ["from pipelines.export import load_model", f"model = load_model({path!r})"]
    print(
        json.dumps(
            {
                "arm": name,
                "chosen_by": "val",
                "val": chosen.val,
                "config": chosen.config,
                "phases": trial.spec["phases"],
                "trial": chosen.key,
                "checkpoint": path,
                "load": lines,
            },
            indent=2,
        )
    )


def _best_arm(findings: Any) -> str:
    """The arm with the highest mean val over its final trials: never chosen by test."""
    finals = [r for r in findings.records if r.phase == "final" and r.val == r.val]
    if not finals:
        raise UserError("no final trial is finished yet")
    means = {
        arm: sum(v) / len(v)
        for arm in findings.study.arms
        if (v := [r.val for r in finals if r.arm == arm])
    }
    return max(means, key=lambda arm: means[arm])


def list_studies(console: Console) -> None:
    """One line per ready study."""
    _columns([[name, load_study(name).about] for name in studies()], console)


def list_arms(console: Console) -> None:
    """One line per arm: classes, pools, tuned hyperparameters with default and range."""
    rows = [["ARM", "METHOD", "POOLS", "TUNED: DEFAULT IN RANGE"]]
    for name in known_arms():
        arm = resolve_arm(name, {})
        methods = dict.fromkeys(method_class(p.method).__name__ for p in arm.phases)
        pools = " > ".join(p.pool for p in arm.phases)
        rows.append([name, ", ".join(methods), pools, "; ".join(_ranges(arm)) or "-"])
    _columns(rows, console)


def _columns(rows: list[list[str]], console: Console) -> None:
    """Aligned columns, a line a row: wide tables stay usable with grep and less."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)


def _ranges(arm: Arm) -> list[str]:
    lines = []
    for name, distribution in arm.space.items():
        d = describe_distribution(distribution)
        within = d.get("choices") or f"{d['low']:g}..{d['high']:g}{' log' if d['log'] else ''}"
        lines.append(f"{name} {arm.default[name]:g} in {within}")
    return lines


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"

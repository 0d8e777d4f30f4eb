"""What the commands of the command line do, and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.commands.printing import _columns, _size, print_line
from pipelines.errors import UserError
from pipelines.execution.progress import ProgressTable, format_duration
from pipelines.report.study_state import load_study_state
from pipelines.study.arms import Arm, known_arms, resolve_arm
from pipelines.study.method_loading import method_class
from pipelines.study.search_space import describe_distribution
from pipelines.study.study_file import load_study, studies
from pipelines.trial_documents import MODEL


def show_plan(name: str, console: Console) -> None:
    """Trials, passes, time and disk of a study, arm by arm."""
    from pipelines.execution.estimate import estimate
    from pipelines.execution.preflight import check

    study = load_study(name)
    check(study)
    found = estimate(study)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("arm")
    for column in ("trials", "passes", "time of one worker", "disk"):
        table.add_column(column, justify="right")
    for arm, e in found.items():
        table.add_row(
            arm, str(e.trials), f"{e.passes:,}", format_duration(e.seconds), _size(e.files)
        )
    total = list(found.values())
    table.add_row(
        "all",
        str(sum(e.trials for e in total)),
        f"{sum(e.passes for e in total):,}",
        format_duration(sum(e.seconds for e in total)),
        _size(sum(e.files for e in total)),
        style="bold",
    )
    console.print(table)
    console.print(
        "Passes: an example forward counts 1, backward 2. Time: measured on this CPU, one worker."
    )


def show_status(storage: str, as_json: bool, console: Console) -> None:
    """How a study stands, from its ledger alone."""
    ledger, study_state = load_study_state(storage)
    progress_table = ProgressTable(study_state.planner)
    for trial in study_state.trials.values():
        progress_table.add(trial)
    holder = ledger.driver()
    running = f"running on {holder.host}, process {holder.pid}" if holder else "not running"
    if as_json:
        state = progress_table.as_json() | {
            "study": study_state.study.name,
            "driver": holder and holder.host,
            "running": sum(t.state == "started" for t in study_state.trials.values())
            if holder
            else 0,
        }
        print(
            json.dumps(
                state | {"errors": study_state.errors(), "conflicts": study_state.conflicts()}
            )
        )
        return
    console.print(progress_table.table())
    console.print(f"{study_state.study.name}: {running}")
    for trial in study_state.trials.values():
        if trial.state == "failed":
            error = trial.error or {}
            console.print(
                f"failed ({error.get('class')}): {trial.key}: "
                f"{error.get('type')}: {error.get('message')}",
                markup=False,
            )
    for key in study_state.conflicts():
        console.print(
            f"error: {key}: attempts came to different results, see its conflict.json", markup=False
        )


def show_report(storages: list[str], console: Console) -> None:
    """Write the report of one or several studies, and show its tables."""
    from pipelines.report.pages import write_report
    from pipelines.report.study_report import study_report
    from pipelines.report.tables import terminal_table

    paths = write_report(storages)
    for storage in storages:
        console.print(terminal_table(study_report(storage).results))
    folders = [Path(storage) / "wandb" for storage in storages]
    wandb_files = [f"W&B files: {f}" for f in folders if f.is_dir() and any(f.iterdir())]
    for path in [*paths, *wandb_files]:
        print_line(path, console)


def show_suspects(storage: str, arm: str | None, top: int | None, console: Console) -> None:
    """Write the ranking of suspect labels and show its beginning."""
    from pipelines.report.pages import write_report
    from pipelines.suspects.contact_sheet import evidence, write_suspects

    found, paths = write_suspects(storage, arm, top)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("rank", "given", "suggested", "score", "example"):
        table.add_column(column, justify="right" if column in ("rank", "score") else "left")
    for rank, s in enumerate(found.ranking[:10], 1):
        cells = (str(rank), s.given, s.suggested, f"{s.score:.2f}", s.name)
        table.add_row(*map(escape, cells))
    console.print(table)
    console.print(f"Ranked by the final models of {found.arm}. {evidence(found)}", markup=False)
    *_, page = write_report(storage)
    for path in [*paths, f"{page}#study-0-suspects"]:
        print_line(path, console)


def show_best(storage: str, arm: str | None) -> None:
    """The chosen configuration of an arm as JSON, where its model is, and how to load it."""
    _, study_state = load_study_state(storage)
    name = arm or _best_arm(study_state)
    if name not in study_state.study.arms:
        raise UserError(
            f"arm {name!r} is not in this study; it has {', '.join(study_state.study.arms)}"
        )
    finals = [
        r for r in study_state.records if r.arm == name and r.role == "final" and r.val == r.val
    ]
    if not finals:
        raise UserError(
            f"arm {name!r} has no final trial with a score on val yet; an arm that trains on val "
            "never has"
        )
    chosen = max(finals, key=lambda r: (r.val, -r.repeat, -r.index))
    trial = study_state.trials[chosen.key]
    assert trial.result is not None
    path = f"{storage}/trials/{chosen.key}/attempts/{trial.result['attempt']}/{MODEL}"
    lines = ["from pipelines.models.classifier import load_model", f"model = load_model({path!r})"]
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


def _best_arm(study_state: Any) -> str:
    """The arm with the highest mean val over its final trials: never chosen by test."""
    finals = [r for r in study_state.records if r.role == "final" and r.val == r.val]
    if not finals:
        raise UserError("no final trial is finished yet")
    means = {
        arm: sum(v) / len(v)
        for arm in study_state.study.arms
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


def _ranges(arm: Arm) -> list[str]:
    lines = []
    for name, distribution in arm.space.items():
        d = describe_distribution(distribution)
        within = d.get("choices") or f"{d['low']:g}..{d['high']:g}{' log' if d['log'] else ''}"
        lines.append(f"{name} {arm.default[name]:g} in {within}")
    return lines

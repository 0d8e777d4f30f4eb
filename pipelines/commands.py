"""What the commands of the command line do, and print."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.arms import Arm, known_arms, method_class, resolve_arm
from pipelines.board import Board, clock
from pipelines.distributions import describe_distribution
from pipelines.errors import Interrupted, UserError
from pipelines.export import MODEL
from pipelines.records import gather, open_study
from pipelines.study import Study, load_study, studies

RETRIED = ("failed", "diverged")
SHORT = {"trials": 2, "repeats": 2, "seeds": 1}  # the request of a rehearsal


def run_launch(
    name: str, request: dict[str, Any], options: dict[str, Any], quick: bool, console: Console
) -> int:
    """Launch a study and report; the exit status."""
    from pipelines.launch import Options, launch  # wandb and more, which `status` needs not

    for option, allowed in (("executor", ("ray", "inline")), ("device", ("auto", "cpu", "cuda"))):
        if options[option] not in allowed:
            raise UserError(f"--{option} {options[option]!r}: must be one of {', '.join(allowed)}")
    if options["storage"] == "":
        raise UserError("--storage '': must be a directory, or the URL of an object store")
    for state in options["retry"]:
        if state not in RETRIED:
            raise UserError(f"--retry {state!r}: must be one of {', '.join(RETRIED)}")
    study = load_study(name, request)
    if quick:
        study = rehearsal(study, request)
    try:
        storage = launch(study, Options(**options), console)
    except Interrupted as interrupted:
        where = options["storage"] or f"runs/{study.name}"
        console.print(
            f"Stopped by {interrupted}; what was done is kept in {where}. "
            "The same command goes on from there.",
            soft_wrap=True,
        )
        return interrupted.status
    show_report([storage], console)
    return 0


def rehearsal(study: Study, asked: dict[str, Any]) -> Study:
    """The same study, short: to see that all of it runs, not to learn from it. What was asked for
    stays."""
    schedule = study.protocol.schedule
    short = schedule.model_copy(update={"epochs": max(2, schedule.epochs // 20)})
    return study.model_copy(
        update={
            "name": f"{study.name}-quick",
            "protocol": study.protocol.model_copy(update={"schedule": short}),
            "request": study.request.model_copy(update=SHORT | asked),
        }
    )


def make_study(name: str, data: Path, labels: Path | None, target: str, console: Console) -> None:
    """Write a study file for a person's own data, and show what was seen of it."""
    from pipelines.new_study import new_study
    from pipelines.survey import summary

    file, found = new_study(name, data, labels, target)
    table = Table(box=None, pad_edge=False, show_header=False)
    for key, text in summary(found):
        table.add_row(f"[dim]{key}[/dim]", escape(text))
    console.print(table)
    print_line(f"Wrote {file}. Read it, then: run_sweep.py launch {file} --quick", console)


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
        print(json.dumps(state | {"errors": findings.errors(), "conflicts": findings.conflicts()}))
        return
    console.print(board.table())
    console.print(f"{findings.study.name}: {running}")
    for trial in findings.trials.values():
        if trial.state == "failed":
            error = trial.error or {}
            console.print(
                f"failed ({error.get('class')}): {trial.key}: "
                f"{error.get('type')}: {error.get('message')}",
                markup=False,
            )
    for key in findings.conflicts():
        console.print(
            f"error: {key}: attempts came to different results, see its conflict.json", markup=False
        )


def show_report(places: list[str], console: Console) -> None:
    """Write the report of one or several studies, and show its tables."""
    from pipelines.report import study_report, write_report
    from pipelines.tables import terminal_table

    paths = write_report(places)
    for place in places:
        console.print(terminal_table(study_report(place).results))
    for path in [*paths, *(f"W&B files: {Path(place) / 'wandb'}" for place in places)]:
        print_line(path, console)


def publish_studies(places: list[str], console: Console) -> None:
    """Bring W&B up to date with studies, and show where to look."""
    from pipelines.publish import publish

    for place in places:
        for url in publish(place):
            print_line(url, console)


def serve_dashboard(places: list[str], port: int, console: Console) -> None:
    """Serve the report on loopback, fresh while the study runs, until Ctrl-C."""
    from pipelines.dashboard import dashboard_server

    try:
        server = dashboard_server(places, port)
    except OSError as error:
        raise UserError(f"--port {port}: {error.strerror}") from None
    print_line(f"http://127.0.0.1:{server.server_port} (Ctrl-C ends)", console)
    with server, suppress(KeyboardInterrupt):
        server.serve_forever()


def show_suspects(storage: str, arm: str | None, top: int | None, console: Console) -> None:
    """Write the ranking of suspect labels and show its beginning."""
    from pipelines.contact_sheet import evidence, write_suspects
    from pipelines.report import write_report

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


def run_trial(storage: str, key: str, console: Console) -> int:
    """Run a recorded trial again in this process; 0 if every number is the same, 1 if not."""
    from pipelines.ledger import differences
    from pipelines.setting import FastPaths
    from pipelines.training import trial

    ledger, document, _ = open_study(storage)
    recorded = ledger.trial(key)
    if recorded is None:
        raise UserError(f"storage {storage!r} has no trial {key!r}; `status` and trials/ show them")
    result = None
    made_by = (recorded.result or {}).get("provenance", {})
    fast = FastPaths.without(made_by.get("without", ()))
    for progress in trial(recorded.spec | {"protocol": document["protocol"]}, fast=fast):
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
        raise UserError(
            f"arm {name!r} has no final trial with a score on val yet; an arm that trains on val "
            "never has"
        )
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


def run_doctor(storage: str | None, address: str | None, console: Console) -> int:
    """Show each machine as a launch would find it; 1 if something must be put right first."""
    from pipelines.doctor import examine_cluster, examine_here, token_file, wandb_url
    from pipelines.tracking_mode import resolve_mode

    url = wandb_url(resolve_mode())
    if address is None:
        facts, findings = examine_here(storage, url)
    else:
        from pipelines.cluster import connected

        with connected(address):
            facts, findings = examine_cluster(storage, url)
    rows = [["NODE", "CPUS", "MEMORY FREE", "DISK FREE", "DEVICES", "TORCH", "RAY", "AUTH MODE"]]
    for name, node in facts.items():
        versions, devices = node["versions"], "; ".join(node["devices"]) or "none"
        sizes = [_size(node["memory"]), _size(node["disk"])]
        cells = [name, str(node["cpus"]), *sizes, devices, versions["torch"], versions["ray"]]
        rows.append([*cells, node["authentication"]])
    _columns(rows, console)
    print_line(f"Ray token: {token_file()}", console)
    for finding in findings:
        print_line(str(finding), console)
    if not findings:
        print_line("nothing to put right", console)
    return int(any(finding.level == "error" for finding in findings))


def run_prune(storage: str, models: bool, console: Console) -> None:
    """Delete spare checkpoints, and with `models` all but the best run's models of each arm."""
    from pipelines.prune import prune

    count, size = prune(storage, models)
    print_line(f"{count} files deleted, {_size(size)}", console)


def print_line(text: str, console: Console) -> None:
    """One line, however long, as it is."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


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

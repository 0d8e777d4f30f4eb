#!/usr/bin/env python
"""The command line: launch (also resumes), plan, status, report, trial, best, studies, arms."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

try:
    import typer
    from rich.console import Console
except ModuleNotFoundError as missing:
    print(
        f"error: {sys.executable} has no module {missing.name!r}: `make install` sets up a Python "
        "that has, and .venv/bin/untuned runs with it",
        file=sys.stderr,
    )
    sys.exit(2)

from pipelines.commands.options import Options, split_names, with_options
from pipelines.commands.printing import logged_lines
from pipelines.commands.screen import screens
from pipelines.commands.usage import line_and_status
from pipelines.errors import UserError

DEFAULT_STUDY, DEFAULT_OPTIONS = "digits", Options()
app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False)
#: Files and pipes have no width of their own; tables need this much.
console = Console(width=None if sys.stdout and sys.stdout.isatty() else 110)


def _storage(name: str) -> str:
    from pipelines.commands.which_study import storage_named

    return storage_named(name)


def _storages(names: list[str]) -> list[str]:
    return [_storage(name) for name in names]


def _place(name: str | None) -> str | None:
    from pipelines.commands.which_study import storage_named

    return None if name is None else storage_named(name, new=True)


WHICH = "a study's directory or URI, its name, or its file"
Directory = Annotated[str, typer.Argument(help=WHICH, callback=_storage)]
Directories = Annotated[list[str], typer.Argument(help=WHICH, callback=_storages)]


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"untuned {version('untuned')}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def default(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Compare tuned robust losses with methods that tune themselves.

    Without a command: launch the default study.
    """
    if context.invoked_subcommand is None:
        launch(DEFAULT_STUDY)


@app.command()
@with_options
def launch(
    study: Annotated[
        str, typer.Argument(help="a ready study's name, a YAML file, or a study's directory")
    ] = DEFAULT_STUDY,
    sbatch: Annotated[
        list[str] | None, typer.Argument(help="after --: of SLURM's sbatch, with --on slurm")
    ] = None,
    arms: Annotated[str | None, typer.Option(help="only these, comma-separated")] = None,
    trials: Annotated[int | None, typer.Option(help="per tuned arm and repeat")] = None,
    repeats: Annotated[int | None, typer.Option(help="of the whole search")] = None,
    seeds: Annotated[int | None, typer.Option(help="fresh run seeds per repeat")] = None,
    stopping: Annotated[
        str | None, typer.Option(help="of searches' trials, early: none, halving or median")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="a short rehearsal of the study")] = False,
    on: Annotated[Literal["slurm"] | None, typer.Option(help="as a job of this")] = None,
    options: Options = DEFAULT_OPTIONS,
) -> None:
    """Run what is missing of a study, then report.

    The same command resumes, extends, or says that the study is complete.
    """
    from pipelines.commands.launch import run_launch

    request = {
        "arms": None if arms is None else split_names(arms),
        "trials": trials,
        "repeats": repeats,
        "seeds": seeds,
        "stopping": stopping,
    }
    given: dict[str, Any] = {name: value for name, value in request.items() if value is not None}
    if on:
        from pipelines.commands.submit import submit

        return submit(study, given, options, quick, sbatch or (), console)
    if sbatch:
        raise UserError(f"unexpected extra argument(s) ({' '.join(sbatch)})")
    raise typer.Exit(run_launch(study, given, options, quick, console))


@app.command()
def new(
    study: Annotated[str, typer.Argument(help="its name; STUDY.yaml is written")],
    data: Annotated[str, typer.Option(help="a folder of images, an .npz file, or a table")],
    labels: Annotated[str | None, typer.Option(help="CSV file: path, label")] = None,
    trusted: Annotated[str | None, typer.Option(help="CSV file of verified labels")] = None,
    path_column: Annotated[str | None, typer.Option(help="of --labels, or a guess")] = None,
    label_column: Annotated[str | None, typer.Option(help="of --labels, or a guess")] = None,
    target: Annotated[str, typer.Option(help="label column of a table")] = "label",
    encoding: Annotated[
        str | None, typer.Option(help="of a table in a text file, if it is not UTF-8: latin-1")
    ] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="leave out images that cannot be read")
    ] = False,
) -> None:
    """Look at your own data and write a commented study file for it."""
    from pipelines.commands.new import make_study

    for option, path in (("--data", data), ("--labels", labels), ("--trusted", trusted)):
        if path == "":  # to pathlib, this folder
            raise UserError(f"{option} '': must not be empty")
    files = [Path(path) if path else None for path in (labels, trusted)]
    columns = {"path_column": path_column, "label_column": label_column}
    options = {"target": target, "skip_broken": skip_broken, "encoding": encoding} | columns
    make_study(study, Path(data), files, options, console)


@app.command()
def plan(study: Annotated[str, typer.Argument(help=WHICH)] = DEFAULT_STUDY) -> None:
    """What a launch would run: trials, passes, estimated time and disk."""
    from pipelines.commands.plan import show_plan

    show_plan(study, console)


@app.command()
def status(
    directory: Directory,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="again and again, with speed")] = False,
) -> None:
    """How a study stands, whether or not it is running."""
    from pipelines.commands.status import run_status

    run_status(directory, as_json, watch, console)


@app.command()
def report(
    directories: Directories,
    wandb: Annotated[
        bool, typer.Option("--wandb", help="publish to W&B too: runs, tables, workspace, report")
    ] = False,
) -> None:
    """Write the report anew: results.json, .csv, report.md, .html; several studies share a page."""
    from pipelines.commands.report import publish_studies, show_report

    show_report(directories, console)
    if wandb:
        publish_studies(directories, console)


@app.command()
def dashboard(
    directories: Directories,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="on loopback; 0: any that is free")
    ] = 0,
) -> None:
    """Serve the report on this machine, fresh while the study runs."""
    from pipelines.commands.dashboard import serve_dashboard

    serve_dashboard(directories, port, console)


@app.command()
def suspects(
    directory: Directory,
    arm: Annotated[
        str | None, typer.Option(help="whose models judge; default: highest val")
    ] = None,
    top: Annotated[int | None, typer.Option(help="rows of suspects.csv; default: all")] = None,
) -> None:
    """Training examples ranked by how likely their label is wrong.

    Writes suspects.csv, and the first images into the report.
    """
    from pipelines.commands.suspects import show_suspects

    show_suspects(directory, arm, top, console)


@app.command("optuna")
def export_optuna(
    directory: Directory,
    file: Annotated[
        Path | None, typer.Argument(help="SQLite (.db) or a journal (.log); default DIR/optuna.db")
    ] = None,
) -> None:
    """Write an Optuna storage: a study per arm and repeat, for optuna-dashboard and the like."""
    from pipelines.commands.optuna import export_to_optuna

    export_to_optuna(directory, file, console)


@app.command()
def trial(directory: Directory, key: str) -> None:
    """Run one recorded trial again, without Ray, and compare."""
    from pipelines.commands.trial import rerun_trial

    raise typer.Exit(rerun_trial(directory, key, console))


@app.command()
def best(directory: Directory, arm: Annotated[str | None, typer.Option()] = None) -> None:
    """The chosen configuration as JSON, its checkpoint, and lines that load it and predict."""
    from pipelines.commands.best import show_best

    show_best(directory, arm)


@app.command()
def doctor(
    directory: Annotated[str | None, typer.Argument(help=WHICH, callback=_place)] = None,
    address: Annotated[str | None, typer.Option(help="of a Ray cluster: ask every node")] = None,
) -> None:
    """Look for what would stop a launch: versions, storage, disk, devices, clocks, W&B."""
    from pipelines.commands.doctor import run_doctor

    raise typer.Exit(run_doctor(directory, address, console))


@app.command()
def prune(
    directory: Directory,
    models: Annotated[
        bool, typer.Option("--models", help="and models, but each arm's best")
    ] = False,
) -> None:
    """Delete checkpoints that no launch will need."""
    from pipelines.commands.prune import run_prune

    run_prune(directory, models, console)


@app.command()
def studies() -> None:
    """The ready studies."""
    from pipelines.commands.studies import list_studies

    list_studies(console)


@app.command()
def arms(
    study: Annotated[str | None, typer.Argument(help=WHICH)] = None,
    fits: Annotated[
        str | None, typer.Option("--for", help="only those that train on this study's data")
    ] = None,
) -> None:
    """The arms, all or a study's: cost of a run, what it needs, what is tuned, source."""
    from pipelines.commands.arms import list_arms

    list_arms(study, fits, console)


def main() -> None:
    """Run the command line; what ends it is one line on standard error, and an exit status."""
    with screens(), logged_lines(console):
        try:
            sys.exit(app(standalone_mode=False))
        except (Exception, KeyboardInterrupt) as error:  # a launch that has begun handles the last
            if (told := line_and_status(error)) is None:
                raise
            print(f"error: {told[0]}", file=sys.stderr)
            sys.exit(told[1])


if __name__ == "__main__":
    main()

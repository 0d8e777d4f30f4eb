#!/usr/bin/env python
"""The command line: launch (also resumes), plan, status, report, trial, best, studies, arms."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

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

from pipelines.commands import arguments as args
from pipelines.commands.options import NewOptions, Options, RequestOptions, with_options
from pipelines.commands.printing import logged_lines
from pipelines.commands.screen import screens
from pipelines.commands.usage import line_and_status
from pipelines.errors import UserError

DEFAULT_STUDY, NEW_OPTIONS = "digits", NewOptions()
DEFAULT_OPTIONS, DEFAULT_REQUEST = Options(), RequestOptions()
app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False)
#: Files and pipes have no width of their own; tables need this much.
console = Console(width=None if sys.stdout and sys.stdout.isatty() else 110)


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
    study: args.Study = DEFAULT_STUDY,
    more: args.MoreStudies = None,
    quick: args.Quick = False,
    on: Annotated[Literal["slurm"] | None, typer.Option(help="as a job of this")] = None,
    request: RequestOptions = DEFAULT_REQUEST,
    options: Options = DEFAULT_OPTIONS,
) -> None:
    """Run what is missing of a study, then report.

    The same command resumes, extends, or says that the study is complete.
    """
    from pipelines.commands.launch import run_launch

    if on:
        from pipelines.commands.submit import submit

        return submit([study, *(more or ())], request.given, options, quick, console)
    if more:
        raise UserError(f"unexpected extra argument(s) ({' '.join(more)}): see --on slurm")
    raise typer.Exit(run_launch(study, request.given, options, quick, console))


@app.command()
def join(
    job: Annotated[str, typer.Argument(help="of `launch STUDY --on slurm`, by SLURM's number")],
    sbatch: args.Sbatch = None,
) -> None:
    """More machines for a study that runs on SLURM: a job that joins another one."""
    from pipelines.commands.submit import submit_join

    submit_join(job, sbatch or (), console)


@app.command()
@with_options
def new(
    study: Annotated[str, typer.Argument(help="its name; STUDY.yaml is written")],
    data: Annotated[str, typer.Option(help="a folder of images, an .npz file, or a table")],
    options: NewOptions = NEW_OPTIONS,
) -> None:
    """Look at your own data and write a commented study file for it."""
    from pipelines.commands.new import make_study

    given = dict(vars(options))
    paths = {"data": data, "labels": given.pop("labels"), "trusted": given.pop("trusted")}
    for option, path in paths.items():
        if path == "":  # to pathlib, this folder
            raise UserError(f"--{option} '': must not be empty")
    files = [Path(path) if path else None for path in (paths["labels"], paths["trusted"])]
    make_study(study, Path(data), files, given, console)


@app.command()
@with_options
def plan(
    study: Annotated[str, typer.Argument(help=args.WHICH)] = DEFAULT_STUDY,
    quick: args.Quick = False,
    request: RequestOptions = DEFAULT_REQUEST,
) -> None:
    """What a launch would run: trials, passes, estimated time and disk."""
    from pipelines.commands.plan import show_plan

    show_plan(study, request.given, quick, console)


@app.command()
def status(
    directory: args.Directory,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="again and again, with speed")] = False,
) -> None:
    """How a study stands, whether or not it is running."""
    from pipelines.commands.status import run_status

    run_status(directory, as_json, watch, console)


@app.command()
def report(
    directories: args.Directories,
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
def dashboard(directories: args.Directories, port: args.Port = 0) -> None:
    """Serve the report on this machine, fresh while the study runs."""
    from pipelines.commands.dashboard import serve_dashboard

    serve_dashboard(directories, port, console)


@app.command()
def suspects(
    directory: args.Directory,
    arm: Annotated[str | None, typer.Option(help="whose models judge; default: best val")] = None,
    top: Annotated[int | None, typer.Option(help="rows of suspects.csv; default: all")] = None,
    verified: Annotated[
        Path | None, typer.Option(help="labels that the page saved: write a study with them")
    ] = None,
    use: Annotated[
        Literal["corrections", "trusted"],
        typer.Option("--as", help="of --verified: in the place of the labels, or as trusted ones"),
    ] = "corrections",
) -> None:
    """Training examples ranked by how likely their label is wrong.

    Writes suspects.csv, and the first ones into the report, where their labels can be verified.
    """
    from pipelines.commands.suspects import go_on, show_suspects

    if verified is not None:
        go_on(directory, verified, use, console)
    else:
        show_suspects(directory, arm, top, console)


@app.command("optuna")
def export_optuna(
    directory: args.Directory,
    file: Annotated[
        Path | None, typer.Argument(help="SQLite (.db) or a journal (.log); default DIR/optuna.db")
    ] = None,
) -> None:
    """Write an Optuna storage: a study per arm and repeat, for optuna-dashboard and the like."""
    from pipelines.commands.optuna import export_to_optuna

    export_to_optuna(directory, file, console)


@app.command("import")
def import_configs(
    study: Annotated[str, typer.Argument(help=args.WHICH)],
    source: Annotated[
        str, typer.Option("--from", help="an Optuna storage, a folder of Ray Tune's, a CSV table")
    ],
    arm: Annotated[str | None, typer.Option(help="whose, where the source does not say")] = None,
    metric: Annotated[
        str | None, typer.Option(help="the score, on val; of Optuna one of several objectives")
    ] = None,
    lowest: Annotated[bool, typer.Option("--lowest", help="is best")] = False,
    best: Annotated[int, typer.Option(min=1, help="how many of each search")] = 3,
) -> None:
    """Configurations that other tools found, as YAML: what `request.warm_start` reads."""
    from pipelines.commands.import_configs import print_configs

    print_configs(study, source, arm, metric, lowest, best)


@app.command()
def trial(directory: args.Directory, key: str) -> None:
    """Run one recorded trial again, without Ray, and compare."""
    from pipelines.commands.trial import rerun_trial

    raise typer.Exit(rerun_trial(directory, key, console))


@app.command()
def best(directory: args.Directory, arm: args.Arm = None, export: args.Export = None) -> None:
    """The chosen configuration as JSON, its checkpoint, and lines that load it and predict."""
    from pipelines.commands.best import show_best

    show_best(directory, arm, export)


@app.command()
def doctor(
    directory: Annotated[str | None, typer.Argument(help=args.WHICH, callback=args.place)] = None,
    address: Annotated[str | None, typer.Option(help="of a Ray cluster: ask every node")] = None,
) -> None:
    """Look for what would stop a launch: versions, storage, disk, devices, clocks, W&B."""
    from pipelines.commands.doctor import run_doctor

    raise typer.Exit(run_doctor(directory, address, console))


@app.command()
def prune(
    directory: args.Directory,
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
    study: Annotated[str | None, typer.Argument(help=args.WHICH)] = None,
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

#!/usr/bin/env python
"""The command line: launch (also resumes), plan, status, report, trial, best, studies, arms."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from pipelines.errors import UserError

DEFAULT_STUDY = "digits"
app = typer.Typer(
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
console = Console()


@app.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    """Compare tuned robust losses with methods that tune themselves. Without a command: launch the
    default study."""
    if context.invoked_subcommand is None:
        launch(DEFAULT_STUDY)


@app.command()
def launch(
    study: Annotated[
        str, typer.Argument(help="a ready study's name, or a YAML file")
    ] = DEFAULT_STUDY,
    arms: Annotated[str | None, typer.Option(help="only these, comma-separated")] = None,
    trials: Annotated[int | None, typer.Option(help="per tuned arm and repeat")] = None,
    repeats: Annotated[int | None, typer.Option(help="of the whole search")] = None,
    seeds: Annotated[int | None, typer.Option(help="fresh run seeds per repeat")] = None,
    storage: Annotated[
        str | None, typer.Option(help="directory or URI; default runs/STUDY")
    ] = None,
    executor: Annotated[str, typer.Option(help="ray or inline")] = "ray",
    wandb: Annotated[str | None, typer.Option(help="online, offline or disabled")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    concurrent: Annotated[int | None, typer.Option(min=1, help="trials at once")] = None,
    cpus_per_trial: Annotated[float | None, typer.Option(min=0.01)] = None,
    gpus_per_trial: Annotated[float | None, typer.Option(min=0.0)] = None,
    quick: Annotated[bool, typer.Option("--quick", help="a short rehearsal of the study")] = False,
) -> None:
    """Run what is missing of a study, then report. The same command resumes, extends, or says it is
    complete."""
    from pipelines.commands import run_launch

    overrides = {
        "arms": arms and arms.split(","),
        "trials": trials,
        "repeats": repeats,
        "seeds": seeds,
    }
    options = {
        "storage": storage,
        "executor": executor,
        "wandb": wandb,
        "device": device,
        "concurrent": concurrent,
        "cpus_per_trial": cpus_per_trial,
        "gpus_per_trial": gpus_per_trial,
    }
    raise typer.Exit(run_launch(study, _given(overrides), options, quick, console))


@app.command()
def plan(study: Annotated[str, typer.Argument()] = DEFAULT_STUDY) -> None:
    """What a launch would run: trials, passes, estimated time and disk."""
    from pipelines.commands import show_plan

    show_plan(study, console)


@app.command()
def status(directory: str, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """How a study stands, whether or not it is running."""
    from pipelines.commands import show_status

    show_status(directory, as_json, console)


@app.command()
def report(directory: str) -> None:
    """Write results.json, results.csv, report.md and report.html anew."""
    from pipelines.commands import show_report

    show_report(directory, console)


@app.command()
def trial(directory: str, key: str) -> None:
    """Run one recorded trial again, without Ray, and compare."""
    from pipelines.commands import run_trial

    raise typer.Exit(run_trial(directory, key, console))


@app.command()
def best(directory: str, arm: Annotated[str | None, typer.Option()] = None) -> None:
    """The chosen configuration as JSON, its checkpoint, and the lines that load it."""
    from pipelines.commands import show_best

    show_best(directory, arm)


@app.command()
def studies() -> None:
    """The ready studies."""
    from pipelines.commands import list_studies

    list_studies(console)


@app.command()
def arms() -> None:
    """The arms: class, pools, tuned dimensions and ranges."""
    from pipelines.commands import list_arms

    list_arms(console)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and exit status 2."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()

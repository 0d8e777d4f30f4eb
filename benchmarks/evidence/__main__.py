"""The evidence suite's command line: `python -m benchmarks.evidence COMMAND`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from benchmarks.evidence.page import write_page
from benchmarks.evidence.sets import Part, sets_named
from benchmarks.evidence.suite import RATES, estimates, refuse_missing_data, run_suite
from pipelines.commands.options import Options
from pipelines.commands.printing import format_size, plain_table
from pipelines.errors import Interrupted, UserError
from pipelines.execution.progress import format_duration

RUNS = Path("runs") / "evidence"
app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=__doc__)
console = Console(width=None if sys.stdout.isatty() else 110)

Names = Annotated[list[str] | None, typer.Argument(help="of sets; default: all of the part")]
InPart = Annotated[Part | None, typer.Option(help="main, axes or large")]
Root = Annotated[Path, typer.Option("--runs", help="where the ledgers are")]
Repeats = Annotated[int | None, typer.Option(min=1, help="instead of the studies' own")]
Trials = Annotated[int | None, typer.Option(min=0, help="instead of the studies' own")]


def _request(repeats: int | None, trials: int | None) -> dict[str, int]:
    given = {"repeats": repeats, "trials": trials}
    return {name: value for name, value in given.items() if value is not None}


@app.command()
def run(
    names: Names = None,
    part: InPart = None,
    root: Root = RUNS,
    repeats: Repeats = None,
    trials: Trials = None,
    executor: Annotated[Literal["ray", "inline"], typer.Option()] = "ray",
) -> None:
    """Run what is missing: three studies a set. The same command goes on where it stood."""
    chosen = sets_named(names or [], part or (None if names else "main"))
    options = Options(executor=executor, wandb="disabled")
    run_suite(chosen, root, _request(repeats, trials), options, console)


@app.command()
def plan(
    names: Names = None, part: InPart = None, repeats: Repeats = None, trials: Trials = None
) -> None:
    """Trials, passes and time of one core, measured on this machine."""
    chosen = sets_named(names or [], part or (None if names else "main"))
    refuse_missing_data(chosen)
    numbers = ("trials", "passes", "time of one core", "disk")
    table = plain_table("set", *numbers, right=numbers)
    costs = estimates(chosen, _request(repeats, trials))
    for name, cost in costs.items():
        amounts = f"{cost.passes:,}", format_duration(cost.seconds), format_size(cost.files)
        table.add_row(name, str(cost.trials), *amounts)
    seconds = sum(cost.seconds for cost in costs.values())
    table.add_row(
        "all", str(sum(c.trials for c in costs.values())), "", format_duration(seconds), ""
    )
    console.print(table)
    console.print(f"Each set is run at {len(RATES)} learning rates.")


@app.command("convert")
def convert_source(
    name: Annotated[str, typer.Argument(help="of the folder to write: docs/evidence.md")],
    source: Annotated[Path, typer.Argument(help="the folder with the public files")],
    root: Annotated[Path, typer.Option("--to", envvar="UNTUNED_DATA")],
) -> None:
    """Make a set from its public files, in a folder of $UNTUNED_DATA."""
    from benchmarks.evidence.convert.registry import convert  # torchvision takes seconds

    print(convert(name, source, root))


@app.command()
def page(names: Names = None, part: InPart = None, root: Root = RUNS) -> None:
    """Write the page over all sets, as far as they have run."""
    for path in write_page(sets_named(names or [], part), root):
        print(path)


def main() -> None:
    """Run the command line; a user's mistake is one line and status 2."""
    try:
        sys.exit(app(standalone_mode=False))
    except Interrupted as interrupted:
        message, status = f"stopped by {interrupted}; the same command goes on", interrupted.status
    except UserError as error:
        message, status = f"error: {error}", error.status
    except typer.TyperException as error:
        message, status = f"error: {error.format_message()}", UserError.status
    print(message, file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()

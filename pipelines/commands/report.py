"""The command `report`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from pipelines.commands.printing import print_line


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


def publish_studies(storages: list[str], console: Console) -> None:
    """Bring W&B up to date with studies, and show where to look."""
    from pipelines.tracking.publish import publish

    for storage in storages:
        for url in publish(storage):
            print_line(url, console)

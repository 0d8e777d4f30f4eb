"""The command `report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pipelines.commands.printing import print_line


def show_report(
    storages: list[str], console: Console, wandb_folders: Sequence[Path] | None = None
) -> None:
    """Write the report of one or several studies; show where it is, its table and its answer.

    wandb_folders: in which W&B's files may lie that a server has not got yet; None: the studies'.
    """
    from pipelines.report.pages import write_report
    from pipelines.report.study_state import load_study_state
    from pipelines.report.terminal import print_answer

    paths = write_report(storages)
    for path in paths:
        print_line(path, console)
    for folder in map(Path, storages) if wandb_folders is None else wandb_folders:
        if any(folder.glob("wandb/offline-run*")):
            print_line(f"W&B files: {folder / 'wandb'}", console)
    for storage in storages:
        _, study_state = load_study_state(storage)
        console.print()
        if len(storages) > 1:
            print_line(study_state.study.name, console)
        print_answer(study_state.results(), console)


def publish_studies(storages: list[str], console: Console) -> None:
    """Bring W&B up to date with studies, and show where to look."""
    from pipelines.tracking.publish import publish

    for storage in storages:
        for url in publish(storage):
            print_line(url, console)

"""The command `optuna`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from pipelines.commands.printing import print_line


def export_to_optuna(storage: str, file: Path | None, console: Console) -> None:
    """Write a study as an Optuna storage, and say how to look at it."""
    from pipelines.tracking.optuna_storage import SQLITE, write_optuna_storage

    path, studies = write_optuna_storage(storage, file)
    print_line(str(path), console)
    url = f"sqlite:///{path}" if path.suffix in SQLITE else path
    print_line(f"Optuna studies: {studies}; to look at them: optuna-dashboard {url}", console)

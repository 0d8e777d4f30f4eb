"""The command `studies`."""

from __future__ import annotations

from rich.console import Console

from pipelines.commands.printing import print_columns
from pipelines.study.study_file import load_study, studies


def list_studies(console: Console) -> None:
    """One line per ready study."""
    print_columns([[name, load_study(name).about] for name in studies()], console)

"""How commands print."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich import filesize
from rich.console import Console
from rich.table import Table


def print_line(text: str, console: Console) -> None:
    """One line, however long, as it is."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def logged_lines(console: Console) -> Iterator[None]:
    """What this program logs is printed meanwhile: standard error is for what ended a command."""
    handler, logger = _Lines(console), logging.getLogger("pipelines")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Lines(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        print_line(self.format(record), self._console)


def print_columns(
    rows: list[list[str]], console: Console, heads: Mapping[int, str] | None = None
) -> None:
    """Aligned columns, a line a row: wide tables stay usable with grep and less.

    heads: lines of their own, by the number of the row that follows.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        if head := (heads or {}).get(number):
            print_line(f"\n{head}", console)
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print_line(line.rstrip(), console)


def plain_table(*columns: str, right: tuple[str, ...]) -> Table:
    """A table without lines; the columns named in `right` hold numbers."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def format_number(value: Any) -> str:
    """Four digits of a float; anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def format_size(count: float) -> str:
    """Bytes for people: 1.2 MB."""
    return filesize.decimal(int(count))

"""How commands print."""

from __future__ import annotations

from typing import Any

from rich.console import Console


def print_line(text: str, console: Console) -> None:
    """One line, however long, as it is."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _columns(rows: list[list[str]], console: Console) -> None:
    """Aligned columns, a line a row: wide tables stay usable with grep and less."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"

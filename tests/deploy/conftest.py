"""The table of what was done to studies on a real SLURM, at the end of `make test-cluster`."""

from __future__ import annotations

import pytest
from rich.console import Console
from rich.table import Table

COLUMNS = ("scenario", "what was cut", "attempts", "trials", "results equal")
ROWS = pytest.StashKey[list[tuple[str, ...]]]()


@pytest.fixture
def table(request: pytest.FixtureRequest) -> list[tuple[str, ...]]:
    """Where a scenario writes its row."""
    return request.config.stash.setdefault(ROWS, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    rows = config.stash.get(ROWS, [])
    if rows:
        shown = Table(*COLUMNS, box=None)
        for row in rows:
            shown.add_row(*row)
        console = Console(width=110)
        with console.capture() as capture:
            console.print(shown)
        terminalreporter.write_line(capture.get())

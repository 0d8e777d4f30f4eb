"""What `make test-cluster` does to studies: one study, its results undisturbed, and the table."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.chaos import compare
from tests.support.launches import ROOT
from tests.support.slurm import Slurm, missing, slurm

STUDY = {
    "name": "cut",
    "protocol": {
        "data": {"source": "digits"},
        "noise": {"kind": "flip", "rate": 0.4},
        "splits": {"meta": 50, "val": 50, "test": 500},
        "model": {"name": "mlp", "options": {"hidden": [128]}},
        "schedule": {"epochs": 150, "lr": 0.05},
    },
    # A minute and a half of two processors: SLURM and Ray take half a minute to act.
    "request": {"arms": ["ce", "l2rw"], "trials": 1, "repeats": 1, "seeds": 10},
}
CHECKPOINT = "trials/*/attempts/*/checkpoint*"
COLUMNS = ("scenario", "what was cut", "attempts", "trials", "results equal")
ROWS = pytest.StashKey[list[tuple[str, ...]]]()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    if reason := missing():
        pytest.skip(reason)
    with slurm() as running:
        (running.folder / "cut.yaml").write_text(yaml.safe_dump(STUDY))  # every user may read it
        yield running


@pytest.fixture
def table(request: pytest.FixtureRequest) -> list[tuple[str, ...]]:
    """Where a scenario writes its row."""
    return request.config.stash.setdefault(ROWS, [])


@pytest.fixture(scope="session")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "cut.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    return path


@pytest.fixture(scope="session")
def undisturbed(study_file: Path) -> Path:
    """The study as it is when nothing is cut."""
    place = study_file.with_name("undisturbed")
    launch = [sys.executable, str(ROOT / "run_sweep.py"), "launch", str(study_file)]
    launch += ["--executor", "inline", "--wandb", "disabled", "--storage", str(place)]
    subprocess.run(launch, check=True, stdout=subprocess.DEVNULL)
    return place


@pytest.fixture
def judge(undisturbed: Path, table: list[tuple[str, ...]]) -> Callable[..., None]:
    """A study that was driven to its end has the undisturbed one's results, each once."""

    def equal(storage: Path, scenario: str, cut: str) -> None:
        counts = compare(str(storage), undisturbed)
        row = (scenario, cut, str(counts["attempts"]), str(counts["trials"]))
        table.append((*row, f"{counts['equal']} of {counts['trials']}"))
        assert counts["equal"] == counts["trials"] and not counts["extra"], counts
        assert not counts["conflicts"], counts

    return equal


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

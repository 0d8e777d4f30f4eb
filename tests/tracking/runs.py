"""What the tests of runs share: a trial, its rows, and what W&B was left with."""

import logging
from pathlib import Path
from typing import Any

import pytest
import wandb

from pipelines.tracking import run as tracking
from pipelines.tracking.mode import Mode
from pipelines.tracking.run import tracker
from tests.support.wandb_reader import OfflineRun, offline_runs

KEY = "gce-0f3a"
SPEC = {
    "key": KEY,
    "arm": "gce",
    "role": "search",
    "repeat": 1,
    "index": 7,
    "config": {"method.q": 0.7},
    "data_seed": 11,
    "run_seed": 22,
}
PROTOCOL = {"noise": {"kind": "flip", "rate": 0.4}}


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [{"epoch": epoch, "val/accuracy": epoch / 10} for epoch in range(first, last + 1)]


def tracked(directory: Path, mode: Mode, history=(), spec=SPEC, study_id=None):
    return tracker(
        spec,
        study="digits",
        study_id=study_id,
        protocol=PROTOCOL,
        directory=directory,
        mode=mode,
        history=history,
    )


def written(directory: Path) -> list[OfflineRun]:
    """The offline runs, once the client is done with its files: `finish` may return before."""
    wandb.teardown()
    return offline_runs(directory)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Ours; the client's go to its own files."""
    own = [record for record in caplog.records if record.name == tracking.__name__]
    return [record.getMessage() for record in own if record.levelno >= logging.WARNING]

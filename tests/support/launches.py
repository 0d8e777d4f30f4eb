"""A small launch as a process, to be disturbed by tests."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from pipelines.documents import differences
from pipelines.ledger.ledger import Ledger
from tests.support.marks import marked_processes

ROOT = Path(__file__).parents[2]
LAUNCH = [sys.executable, str(ROOT / "run_sweep.py"), "launch", "digits"]
SMALL = ["--quick", "--arms", "ce,l2rw,finetune", "--repeats", "2", "--seeds", "2"]
QUICK = [*LAUNCH, *SMALL, "--checkpoint-seconds", "0.2"]
# Tests that run under nohup ignore SIGHUP, and would pass that on.
AS_FROM_A_TERMINAL = ["env", "--default-signal=HUP"]
# After SIGKILL these see within a minute that they are alone: agents, and workers not yet started.
LATE = ("ray::DashboardAgent", "ray::RuntimeEnvAgent", "default_worker.py")


def start(storage: Path, environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*AS_FROM_A_TERMINAL, *QUICK, "--storage", str(storage), *options],
        env=environment | {"HOME": str(storage.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(storage: Path, pattern: str, driver: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not list(storage.glob(pattern)) and driver.poll() is None:
        assert time.monotonic() < deadline, f"no {pattern} in four minutes"
        time.sleep(0.05)


def gone(environment: dict[str, str]) -> bool:
    """All descendants end within a minute, apart from the late ones; first, what runs trials."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        left = marked_processes(environment).values()
        if all(any(name in command for name in LATE) for command in left):
            return True
        time.sleep(0.2)
    return False


def assert_same_results(one: Path, other: Path) -> None:
    actual, expected = (Ledger.open(str(place)).trials() for place in (one, other))
    assert actual.keys() == expected.keys()
    for key, trial in expected.items():
        result = actual[key].result
        assert trial.result and result and differences(trial.result, result) == []

"""A launch that finds another driver on its study waits for it to be gone, if there is patience."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.commands import checked_launch as module
from pipelines.commands.checked_launch import Launch
from pipelines.commands.options import PATIENCE, Options
from pipelines.ledger.lease import LIFETIME, Lease, LeaseHeld
from pipelines.ledger.ledger import Ledger


class Waiting:
    """A study that is driven, and a launch that would drive it."""

    def __init__(self, place: Path) -> None:
        self.ledger = Ledger.open(str(place))
        self.other = self.ledger.acquire_lease()
        self.text = io.StringIO()
        self.looks = 0

    def wait(self, seconds: int | None, stop: Callable[[], bool]) -> Lease | None:
        nothing: Any = None
        launch = Launch(nothing, {}, nothing, Options(wait_for_lease=seconds))

        def look() -> bool:
            self.looks += 1
            return stop()

        return launch._lease(self.ledger, Console(file=self.text, width=200), look)


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch) -> Waiting:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    return Waiting(tmp_path)


def test_it_goes_on_as_soon_as_the_other_one_is_gone_and_says_so(waiting: Waiting):
    lease = waiting.wait(120, lambda: bool(waiting.looks == 3 and waiting.other.release()))
    assert lease is not None and lease.number == waiting.other.number + 1 and waiting.looks == 3
    held, gone = waiting.text.getvalue().splitlines()
    assert held.startswith(f"lease: host {os.uname().nodename!r}, pid {os.getpid()} is driving")
    assert held.endswith(": waiting up to 120 s until it is gone")
    assert gone == "lease: the other driver is gone; the launch goes on"


@pytest.mark.parametrize("seconds", [0, None])
def test_without_patience_it_is_refused_at_once(waiting: Waiting, seconds: int | None):
    with pytest.raises(LeaseHeld, match="--wait-for-lease"):
        waiting.wait(seconds, lambda: pytest.fail("waits"))
    assert waiting.text.getvalue() == ""


def test_when_patience_has_ended_it_is_refused(waiting: Waiting, monkeypatch):
    clock = iter([0.0, 1.0, 6.9, 7.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with pytest.raises(LeaseHeld):
        waiting.wait(7, lambda: False)
    assert waiting.looks == 2


def test_a_signal_ends_the_waiting(waiting: Waiting):
    assert waiting.wait(120, lambda: waiting.looks == 2) is None and waiting.looks == 2


def test_by_default_a_terminal_waits_for_nothing_and_a_job_for_longer_than_a_dead_drivers_lease():
    assert Options().patience(terminal=True) == 0
    assert Options().patience(terminal=False) == PATIENCE > LIFETIME
    assert Options(wait_for_lease=7).patience(terminal=True) == 7

"""What `status` says of a study, once and again and again."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.commands import status as module
from pipelines.commands.status import _table, run_status, show_status, watch_status
from pipelines.errors import UserError
from pipelines.report.study_state import load_study_state
from tests.conftest import small_study
from tests.support.synthetic_ledger import write_study

STUDY = small_study(("ce", "gce"))


def shown(call, *, terminal: bool = False) -> str:
    text = io.StringIO()
    call(Console(file=text, width=110, force_terminal=terminal))
    return text.getvalue()


@pytest.fixture
def watched(monkeypatch):
    """Watch a study for some looks, before each of which something happens; what is shown."""

    def watch(storage: str, *events, terminal: bool = False) -> str:
        left, clock = list(events), iter(range(0, 3600, 36))
        monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))

        def sleep(seconds: float) -> None:
            assert seconds == (module.WATCH_SECONDS if terminal else module.LOG_SECONDS)
            if not left:
                raise KeyboardInterrupt
            left.pop(0)()

        monkeypatch.setattr(module.time, "sleep", sleep)
        return shown(lambda console: watch_status(storage, console), terminal=terminal)

    return watch


def test_the_longest_names_of_arms_and_times_fit_in_80_columns(tmp_path: Path):
    arms = ("clean_only_long", "clean_only_all_long", "logistic_regression_balanced")
    storage = write_study(tmp_path, small_study(("ce", *arms)))
    progress_table = _table(load_study_state(storage)[1])
    [*_, last] = progress_table.lines()
    last.seconds, last.collapsed, last.failed = 50_000.0, 12, 1
    text = io.StringIO()
    Console(file=text, width=80).print(progress_table.table())
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    for arm in arms:
        assert len([line for line in lines if line.startswith(f"{arm} ")]) == 1
    assert "13 h 53 min 12 collapsed" in text.getvalue()


def test_a_failed_trial_is_shown_with_its_host(tmp_path: Path):
    storage = write_study(tmp_path, STUDY, limit=2)
    ledger, state = load_study_state(storage)
    ledger.add_trial(spec := state.planner.ask())
    ledger.attempt(spec["key"], ledger.new_attempt(spec["key"])).fail(OSError("full"), "data")
    said = shown(lambda console: show_status(storage, False, console))
    assert f"failed (data) on {os.uname().nodename}: {spec['key']}: OSError: full\n" in said


def test_a_watch_shows_which_hosts_run_trials_and_how_fast_they_end(tmp_path: Path, watched):
    storage = write_study(tmp_path, STUDY, limit=2)
    ledger, state = load_study_state(storage)
    with ledger.acquire_lease():
        for begins in (True, False):
            ledger.add_trial(spec := state.planner.ask())
            attempt = ledger.attempt(spec["key"], ledger.new_attempt(spec["key"]))
            if begins:
                attempt.begin()
        said = watched(storage, lambda: write_study(tmp_path, STUDY, limit=4))
    assert said.count("running on ") == 2  # two looks, then Ctrl-C
    assert f"trials run: 1 ({os.uname().nodename} 1)\n" in said  # the other one waits
    assert re.search(r"^\d+ trials an hour since this watch began$", said, re.MULTILINE)


def test_a_watch_ends_by_itself_when_nothing_is_missing(tmp_path: Path, watched):
    storage = write_study(tmp_path, STUDY)
    said = watched(storage, lambda: pytest.fail("looked again"))
    assert "small: not running" in said and "trials run" not in said


def test_on_a_terminal_a_watch_is_drawn_in_place(tmp_path: Path, watched):
    storage = write_study(tmp_path, STUDY, limit=2)
    said = watched(storage, lambda: None, terminal=True)
    assert "\x1b[1A" in said and "small: not running" in said


def test_a_watch_is_for_people(tmp_path: Path):
    with pytest.raises(UserError, match="--watch --json: one of them"):
        run_status(str(tmp_path), True, True, Console())

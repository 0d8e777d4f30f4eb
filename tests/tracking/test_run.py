"""The run contract: what W&B shows of a trial, and what its failures cost (never the trial)."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb

from pipelines.tracking import run as tracking
from pipelines.tracking import server as wandb_server_module
from pipelines.tracking.environment import ABOUT_THE_SERVER
from pipelines.tracking.mode import Mode
from pipelines.tracking.rows import Histogram
from pipelines.tracking.run import tracker
from pipelines.tracking.server import server as wandb_server
from tests.support.wandb_reader import OfflineRun, offline_runs
from tests.support.wandb_standin import API_KEY, StandIn, client_environment

NOWHERE = "http://127.0.0.1:9"
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


@pytest.fixture(autouse=True)
def client(tmp_path: Path, monkeypatch) -> Iterator[None]:
    """A client of its own for each test: it reads its settings once per process."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name, value in client_environment(NOWHERE, home).items():
        monkeypatch.setenv(name, value)
    wandb.teardown()
    wandb_server.try_again()
    yield
    wandb.teardown()
    wandb_server.try_again()


@pytest.fixture
def server(monkeypatch) -> Iterator[StandIn]:
    with StandIn() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        yield server


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


# What a run shows


def test_a_run_has_the_trials_key_its_group_and_its_rows(tmp_path: Path, caplog):
    with tracked(tmp_path, "offline") as run:
        for row in rows(1, 2):
            run.log(row)
        run.log(
            {"epoch": 3, "weights/clean": Histogram([1, 2], [0.0, 0.5, 1.0]), "weights/auroc": None}
        )
        run.summarize({"val": 0.2})
    [logged] = written(tmp_path)
    assert (logged.run.run_id, logged.run.display_name) == (KEY, "gce/1.7")
    assert (logged.run.run_group, logged.run.job_type) == ("digits", "search")
    assert logged.run.project == "untuned"
    assert set(logged.run.tags) == {"gce", "search", "repeat 1"}
    assert logged.config == {"study": "digits", "protocol": PROTOCOL, **SPEC}
    assert logged.history[:2] == rows(1, 2)
    histogram = {"_type": "histogram", "values": [1, 2], "bins": [0.0, 0.5, 1.0]}
    assert logged.history[2] == {"epoch": 3, "weights/clean": histogram}
    assert logged.summary["val"] == 0.2
    assert logged.step_metrics == {"*": "epoch"}
    assert logged.exit_code == 0
    assert wandb.run is None and not warnings(caplog)


def test_runs_one_after_the_other_in_one_process_are_their_own(tmp_path: Path):
    for number in range(3):
        with tracked(tmp_path, "offline", spec=SPEC | {"key": f"gce-{number}"}) as run:
            run.log({"epoch": 1, "val/accuracy": float(number)})
    runs = written(tmp_path)
    assert {r.run.run_id: r.history[0]["val/accuracy"] for r in runs} == {
        "gce-0": 0.0,
        "gce-1": 1.0,
        "gce-2": 2.0,
    }


def test_two_studies_with_the_same_trials_have_runs_of_their_own(tmp_path: Path, server: StandIn):
    for study_id in ("a", "b", "a"):
        with tracked(tmp_path / study_id, "online", rows(1, 1), study_id=study_id) as run:
            run.log({"epoch": 2})
    assert {name: len(run.history) for name, run in server.runs.items()} == {
        f"{KEY}-a": 2,
        f"{KEY}-b": 2,
    }


def test_the_mode_disabled_writes_nothing(tmp_path: Path):
    with tracked(tmp_path / "runs", "disabled") as run:
        run.log({"epoch": 1})
        run.summarize({"val": 0.1})
    assert not (tmp_path / "runs").exists()


def test_a_failed_trial_is_a_failed_run(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), tracked(tmp_path, "offline") as run:
        run.log({"epoch": 1 // 0})
    assert [logged.exit_code for logged in written(tmp_path)] == [1]


# Whatever the environment says of runs


def settings_variables() -> dict[str, str]:
    """Every variable that the client takes for a setting, with a value of that setting's kind."""
    special = {"WANDB_NAME", "WANDB_NOTES", "WANDB_TAGS", "WANDB_JOB_TYPE", "WANDB_CONFIG"}
    names = special | {f"WANDB_{field.upper()}" for field in wandb.Settings.model_fields}
    names |= {name.replace("WANDB_X_", "WANDB__") for name in names}
    values = {}
    for name in names:
        if ABOUT_THE_SERVER.fullmatch(name):
            continue
        for value in ("leftover", "1", "true", "allow", "left?_step=1", '{"a": "b"}'):
            try:
                wandb.Settings().update_from_env_vars({name: value})
            except Exception:
                continue
            values[name] = value
            break
    return values


def as_logged(directory: Path) -> tuple:
    with tracked(directory, "offline") as run:
        run.log({"epoch": 1})
    [logged] = written(directory)
    fields = ("run_id", "display_name", "run_group", "job_type", "project", "notes", "sweep_id")
    shown = {field: getattr(logged.run, field) for field in fields}
    return shown, sorted(logged.run.tags), logged.config, logged.history, logged.run.resume


def test_nothing_that_is_left_over_in_the_environment_changes_what_is_logged(
    tmp_path: Path, monkeypatch
):
    expected = as_logged(tmp_path / "clean")
    wandb.teardown()
    leftovers = settings_variables()
    assert {"WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_RESUME", "WANDB_TAGS"} <= leftovers.keys()
    for name, value in leftovers.items():
        monkeypatch.setenv(name, value)
    assert as_logged(tmp_path / "leftovers") == expected
    assert {name: os.environ[name] for name in leftovers} == leftovers


def test_trials_under_a_leftover_sweep_are_runs_of_their_own(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc123")
    monkeypatch.setenv("WANDB_RUN_ID", "leftover")
    for number in range(2):
        with tracked(tmp_path, "offline", spec=SPEC | {"key": f"gce-{number}"}) as run:
            run.log({"epoch": number})
    assert {r.run.run_id: r.history for r in written(tmp_path)} == {
        "gce-0": [{"epoch": 0}],
        "gce-1": [{"epoch": 1}],
    }


# Interrupted and resumed, offline


def test_a_resumed_run_is_whole_and_replaces_its_predecessors(tmp_path: Path):
    with tracked(tmp_path, "offline", spec=SPEC | {"key": f"{KEY}-1"}) as other:
        other.log({"epoch": 1})
    for history, new in (([], rows(1, 3)), (rows(1, 2), rows(3, 4))):
        with pytest.raises(KeyboardInterrupt), tracked(tmp_path, "offline", history) as run:
            for row in new:
                run.log(row)
            raise KeyboardInterrupt
    assert len(written(tmp_path)) == 3
    with tracked(tmp_path, "offline", rows(1, 4)) as run:
        run.log(*rows(5, 5))
    by_key = {r.run.run_id: r for r in written(tmp_path)}
    assert len(written(tmp_path)) == 2
    assert by_key[KEY].history == rows(1, 5) and by_key[KEY].run.resume
    assert by_key[f"{KEY}-1"].history == [{"epoch": 1}]


INTERRUPTED = """
import signal, sys, time
from pathlib import Path
from tests.tracking.test_run import rows, tracked
own = sys.argv[2] == "own"
if own:
    signal.signal(signal.SIGTERM, lambda *_: print("told", flush=True))
with tracked(Path(sys.argv[1]), "offline") as run:
    for row in rows(1, 3):
        run.log(row)
    time.sleep(float(sys.argv[3]))
    print("logged", flush=True)
    sys.stdin.readline()
    run.log(*rows(4, 4))
"""


def interrupted(directory: Path, handler: str = "default", wait: float = 0.0) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, directory, handler, str(wait)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "logged\n"
    return process


def test_sigterm_loses_no_row(tmp_path: Path):
    with interrupted(tmp_path) as process:
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
    [logged] = written(tmp_path)
    assert logged.history == rows(1, 3) and logged.exit_code == 1


def test_sigterm_is_left_to_a_program_that_handles_it(tmp_path: Path):
    with interrupted(tmp_path, "own") as process:
        assert process.stdin and process.stdout
        process.terminate()
        assert process.stdout.readline() == "told\n"
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.wait() == 0
    assert written(tmp_path)[0].history == rows(1, 4)


def test_kill_9_loses_a_second_or_two(tmp_path: Path):
    with interrupted(tmp_path, wait=2.5) as process:
        process.kill()
    [logged] = written(tmp_path)
    assert logged.history == rows(1, 3) and logged.exit_code is None


# Online


def test_a_server_that_stumbles_gets_every_row_once(tmp_path: Path, server: StandIn, caplog):
    server.fail("UpsertBucket", reset=True)
    server.fail("file_stream", status=429)
    server.fail("file_stream", reset=True)
    with tracked(tmp_path, "online") as run:
        for row in rows(1, 3):
            run.log(row)
        run.summarize({"val": 0.3})
    sent = server.runs[KEY]
    assert [row["epoch"] for row in sent.history] == [1, 2, 3]
    assert sent.summary["val"] == 0.3 and sent.exits == [0]
    assert sent.fields["groupName"] == "digits" and sent.fields["jobType"] == "search"
    assert sent.config["config"] == SPEC["config"]
    assert not any(fault.times for fault in server.faults) and not warnings(caplog)


@pytest.mark.parametrize("checkpoint", [1, 3, 5], ids=["behind", "level", "ahead"])
def test_a_resumed_run_continues_the_servers_history(
    tmp_path: Path, server: StandIn, capfd: pytest.CaptureFixture, checkpoint: int
):
    with pytest.raises(KeyboardInterrupt), tracked(tmp_path, "online") as run:
        for row in rows(1, 3):
            run.log(row)
        raise KeyboardInterrupt
    with tracked(tmp_path, "online", rows(1, checkpoint)) as run:
        for row in rows(checkpoint + 1, 6):
            run.log(row)
    sent = server.runs[KEY]
    assert [row["epoch"] for row in sent.history] == [1, 2, 3, 4, 5, 6]
    assert sent.rewritten == 0 and sent.exits == [1, 0]
    assert "less than the current step" not in capfd.readouterr().err
    assert list(server.runs) == [KEY]


def test_the_key_is_written_nowhere(tmp_path: Path, server: StandIn):
    with tracked(tmp_path, "online") as run:
        run.log({"epoch": 1})
    assert server.runs[KEY].exits == [0]
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files and not [f for f in files if API_KEY.encode() in f.read_bytes()]


# Failures cost a line, not the trial


def test_without_a_server_the_run_is_offline_and_says_so_once(tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setattr(tracking, "INIT_TIMEOUT", 0.5)
    with tracked(tmp_path, "online") as run:
        run.log({"epoch": 1})
    assert [logged.history for logged in written(tmp_path)] == [[{"epoch": 1}]]
    [warning] = warnings(caplog)
    assert KEY in warning and "offline" in warning and "\n" not in warning


def test_a_server_that_is_away_is_waited_for_once_and_said_to_be_so_once(
    tmp_path: Path, monkeypatch, caplog
):
    monkeypatch.setattr(tracking, "INIT_TIMEOUT", 0.5)
    modes, init = [], tracking._init
    monkeypatch.setattr(
        tracking, "_init", lambda name, mode, *rest: modes.append(mode) or init(name, mode, *rest)
    )
    for number in range(3):
        with tracked(tmp_path, "online", spec=SPEC | {"key": f"gce-{number}"}) as run:
            run.log({"epoch": 1})
        assert not run.complete
    assert modes == ["online", "offline", "offline", "offline"]
    assert len(written(tmp_path)) == 3 and len(warnings(caplog)) == 1


def test_a_server_that_was_away_is_asked_again_later(tmp_path: Path, server: StandIn, monkeypatch):
    wandb_server.was_missed()
    with tracked(tmp_path, "online", spec=SPEC | {"key": "gce-0"}):
        pass
    monkeypatch.setattr(wandb_server_module, "ASK_AGAIN", 0.0)
    with tracked(tmp_path, "online", spec=SPEC | {"key": "gce-1"}) as run:
        run.log({"epoch": 1})
    assert list(server.runs) == ["gce-1"] and run.complete


def test_a_server_that_goes_away_is_waited_for_only_so_long(
    tmp_path: Path, server: StandIn, monkeypatch, caplog
):
    monkeypatch.setattr(tracking, "FINISH_TIMEOUT", 1)
    start = time.monotonic()
    with tracked(tmp_path, "online") as run:
        server.fail("", status=503, times=1000)
        run.log({"epoch": 1})
    assert time.monotonic() - start < 20
    [warning] = warnings(caplog)
    assert KEY in warning
    assert wandb_server.is_away()  # the next trial does not wait


@pytest.mark.parametrize("call", ["init", "log", "finish"])
def test_an_error_in_the_client_is_one_warning(tmp_path: Path, monkeypatch, caplog, call: str):
    def broken(*_: object, **__: object) -> None:
        raise wandb.Error(f"broken\nin {call}")

    owner = wandb if call == "init" else wandb.Run
    with monkeypatch.context() as patch:
        patch.setattr(owner, call, broken)
        with tracked(tmp_path, "offline") as run:
            for row in rows(1, 3):
                run.log(row)
            run.summarize({"val": 0.1})
    [warning] = warnings(caplog)
    assert KEY in warning and f"broken in {call}" in warning


def test_a_row_that_cannot_be_shown_is_one_warning(tmp_path: Path, caplog):
    with tracked(tmp_path, "offline") as run:
        for epoch in (1, 2):
            run.log({"epoch": epoch, "weights/clean": Histogram([1, 2], [0.0])})
    [warning] = warnings(caplog)
    assert KEY in warning and "histogram" in warning


def test_a_directory_that_cannot_be_written_is_one_warning(tmp_path: Path, caplog):
    (tmp_path / "file").write_text("in the way")
    with tracked(tmp_path / "file" / "runs", "offline") as run:
        run.log({"epoch": 1})
    assert len(warnings(caplog)) == 1

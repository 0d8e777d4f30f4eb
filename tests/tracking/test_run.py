"""The run contract: what W&B shows of a trial."""

import os
from pathlib import Path

import pytest
import wandb

from pipelines.tracking.environment import ABOUT_THE_SERVER
from pipelines.tracking.rows import Histogram
from tests.support.wandb_standin import API_KEY, StandIn
from tests.tracking.runs import KEY, PROTOCOL, SPEC, rows, tracked, warnings, written

pytestmark = pytest.mark.usefixtures("client")


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

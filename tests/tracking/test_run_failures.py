"""What failures of W&B cost: a line each, never the trial."""

import time
from pathlib import Path

import pytest
import wandb

from pipelines.tracking import run as tracking
from pipelines.tracking import server as wandb_server_module
from pipelines.tracking.rows import Histogram
from pipelines.tracking.server import server as wandb_server
from tests.support.wandb_standin import StandIn
from tests.tracking.runs import KEY, SPEC, rows, tracked, warnings, written

pytestmark = pytest.mark.usefixtures("client")


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

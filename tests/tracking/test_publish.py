"""Publishing a finished study to W&B, as the server sees it: once, again, after a crash."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
from rich.console import Console

from pipelines.commands.launch import Options, launch
from pipelines.errors import UserError
from pipelines.report.study_state import load_study_state
from pipelines.report.trials import trials_for_page
from pipelines.tracking import run as tracking
from pipelines.tracking.publish import publish
from tests.commands.test_commands import run
from tests.conftest import small_study
from tests.support.wandb_standin import StandIn, client_environment

ARMS = ("ce", "gce")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A small study that was not logged to W&B: two trials of ce, two of gce."""
    storage = tmp_path_factory.mktemp("publish") / "runs"
    study = small_study(ARMS, trials=0, repeats=1, seeds=1, curve=False)
    launch(study, Options(str(storage), "inline", "disabled", "cpu"), Console(quiet=True))
    return storage


@pytest.fixture
def storage(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture(autouse=True)
def server(tmp_path: Path, monkeypatch) -> Iterator[StandIn]:
    """A server, and a client of its own for each test: it reads its settings once per process."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    with StandIn() as server:
        for name, value in client_environment(server.url, home).items():
            monkeypatch.setenv(name, value)
        wandb.teardown()
        yield server
        wandb.teardown()


def trials(storage: Path) -> dict[str, list[dict]]:
    """Rows of the finished trials' histories, by the ids of their runs."""
    ledger, study_state = load_study_state(str(storage))
    histories = ledger.histories(study_state.trials.values())
    return {f"{key}-{study_state.document['id']}": rows for key, rows in histories.items()}


def test_a_study_is_published_whole(storage: Path, server: StandIn):
    urls = publish(str(storage))
    assert all(url.startswith(server.url) for url in urls) and len(urls) == 3
    check_runs(storage, server)
    check_report_run(server)
    check_views(server)
    key = os.environ["WANDB_API_KEY"].encode()
    assert not [f for f in storage.rglob("*") if f.is_file() and key in f.read_bytes()]


def check_runs(storage: Path, server: StandIn) -> None:
    """Every trial is a run, called by its key and the study's id."""
    histories = trials(storage)
    assert {key for key in server.runs if not key.startswith("report-")} == set(histories)
    for key, rows in histories.items():
        sent = server.runs[key]
        for name in ("epoch", "train/loss", "val/accuracy"):
            assert [row[name] for row in sent.history] == [row[name] for row in rows]
        assert sent.exits == [0] and sent.fields["groupName"] == "small"
        assert sent.summary["val/last"] == pytest.approx(rows[-1]["val/accuracy"])
        assert not any(name.startswith(("test", "held_out")) for name in sent.summary)


def check_report_run(server: StandIn) -> None:
    """It holds tables, page and results."""
    [report] = [run for key, run in server.runs.items() if key.startswith("report-")]
    assert report.fields["jobType"] == "report" and len(report.history) == 1
    assert {"arms", "budget", "report"} <= set(report.summary)
    answer = {k.removeprefix("answer/"): v for k, v in report.summary.items() if "answer/" in k}
    assert answer["use"] in ARMS and answer["headline"] and answer["runs/done"] == 4
    assert "figures/scores" in report.summary  # each figure by itself
    assert any(name.endswith(".plotly.json") for name in report.files)
    [page] = [data for name, data in report.files.items() if name.endswith(".html")]
    assert b"<!doctype html>" in page[:200].lower()
    by_name = {a.fields["artifactCollectionName"]: a for a in server.artifacts.values()}
    results = by_name["small-results"]
    assert results.committed
    assert list(json.loads(results.files["results.json"])["arms"]) == list(ARMS)
    tables = [a for a in server.artifacts.values() if "arms.table.json" in a.files]
    assert [row[0] for row in json.loads(tables[0].files["arms.table.json"])["data"]] == list(ARMS)


def check_views(server: StandIn) -> None:
    """Workspace and report show the study."""
    workspace, report = server.views.values()
    assert (workspace["type"], report["type"]) == ("project-view", "runs")
    assert workspace["displayName"] == "small: runs by arm"
    assert report["displayName"] == "small report" and "gce" in report["spec"]


def state(server: StandIn) -> dict:
    """What a person would see, apart from times and random ids of panels."""
    return {
        "rows": {key: len(run.history) for key, run in server.runs.items()},
        "views": {key: view["displayName"] for key, view in server.views.items()},
        "artifacts": {key: sorted(a.files) for key, a in server.artifacts.items()},
    }


def test_the_page_leads_to_the_runs_once_they_are_published(storage: Path, server: StandIn):
    publish(str(storage))
    ledger, study_state = load_study_state(str(storage))
    tracked = trials_for_page(ledger, study_state)["tracked"]
    assert sorted(tracked["keys"]) == sorted(study_state.trials)
    urls = [tracked["url"].replace("{key}", key) for key in tracked["keys"]]
    assert all(url.startswith(server.url) for url in urls)
    assert {url.rpartition("/runs/")[2] for url in urls} <= set(server.runs)


@pytest.mark.slow
def test_publishing_again_repeats_nothing(storage: Path, server: StandIn):
    urls = publish(str(storage))
    before, upserts = state(server), {key: run.upserts for key, run in server.runs.items()}
    assert publish(str(storage)) == urls
    assert state(server) == before
    again = {key for key, run in server.runs.items() if run.upserts > upserts[key]}
    assert all(key.startswith("report-") for key in again)
    # Without its record, as after logging online or in a copy, the server is asked what it has.
    (storage / "wandb.json").unlink()
    publish(str(storage))
    for key, rows in trials(storage).items():
        assert len(server.runs[key].history) == len(rows) and server.runs[key].rewritten == 0


def test_a_study_of_the_first_version_has_runs_called_by_keys_alone(storage: Path, server: StandIn):
    document = json.loads((storage / "study.json").read_text())
    del document["id"], document["digest"]
    (storage / "study.json").write_text(json.dumps(document))
    publish(str(storage))
    keys = {folder.name for folder in (storage / "trials").iterdir()}
    assert set(server.runs) == keys | {f"report-{document['hash'][:16]}"}


def test_a_publication_that_crashed_goes_on_with_the_same_command(
    storage: Path, server: StandIn, monkeypatch
):
    monkeypatch.setattr("pipelines.tracking.publish.SAVE_EVERY", 1)
    first, *_, last = trials(storage)
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "FINISH_TIMEOUT", 1)
        patch.setattr("pipelines.tracking.publish._send_report_run", _stop)
        with pytest.raises(KeyboardInterrupt):
            publish(str(storage))
    assert set(server.runs) == set(trials(storage)) and not server.views
    upserts = server.runs[first].upserts
    publish(str(storage))
    assert server.runs[first].upserts == upserts and server.runs[last].rewritten == 0
    assert len(server.views) == 2


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_workspace_that_was_deleted_is_made_anew(storage: Path, server: StandIn):
    publish(str(storage))
    del server.views["View0000"]
    publish(str(storage))
    names = [view["displayName"] for view in server.views.values()]
    assert sorted(names) == ["small report", "small: runs by arm"]


@pytest.mark.slow
def test_a_server_that_refuses_is_one_line(storage: Path, server: StandIn):
    server.fail("UpsertView2", status=403, times=100)
    with pytest.raises(UserError, match=r"\AW&B: [^\n]*403[^\n]*\Z"):
        publish(str(storage))


def test_a_run_that_is_not_taken_is_told_and_not_recorded(
    storage: Path, server: StandIn, monkeypatch
):
    monkeypatch.setattr(tracking, "INIT_TIMEOUT", 1.0)
    server.fail("UpsertBucket", status=403, times=100)
    with pytest.raises(UserError, match="could not be published"):
        publish(str(storage))
    assert not (storage / "wandb.json").exists()


def test_without_a_key_nothing_is_sent(storage: Path, server: StandIn, monkeypatch, capsys):
    monkeypatch.delenv("WANDB_API_KEY")
    assert run("report", storage, "--wandb") == 2
    assert "wandb login" in capsys.readouterr().err and not server.runs


@pytest.mark.slow
def test_the_command_prints_where_to_look(storage: Path, server: StandIn, capsys):
    assert run("report", storage, "--wandb") == 0
    assert f"{server.url}/me/p/reports/small-report--" in capsys.readouterr().out

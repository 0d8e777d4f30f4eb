"""What doctor finds, and that it says what to do."""

import errno
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import ray

from pipelines.cluster import doctor
from pipelines.cluster.doctor import HealthIssue, diagnose, examine_here, marked, refuse_unfit
from pipelines.cluster.nodes import JOINED, node_name
from pipelines.errors import UserError
from pipelines.execution import machine
from pipelines.execution.machine import NodeCheck, examine, ray_folder
from pipelines.execution.worker_config import WorkerConfig


@pytest.fixture(scope="module")
def healthy() -> dict:
    plenty = {"disk": 2**40, "memory": 2**40, "marker": True, "wandb": True, "wandb_key": True}
    return examine(NodeCheck()) | plenty


def issues(node: dict) -> list[tuple[str, str]]:
    now = time.time()
    return [(f.level, str(f)) for f in diagnose({"node7": node}, now - 1e4, now + 1e4)]


def test_a_healthy_node_needs_nothing(healthy: dict):
    assert issues(healthy) == []


@pytest.mark.parametrize(
    ("change", "level", "says"),
    [
        ({"marker": False}, "error", "does not see the study's storage.*--storage"),
        (
            {"marker": False, "refused": "403"},
            "error",
            r"cannot use .* \(403\): .*keys of the store",
        ),
        ({"storage": "Read-only file system"}, "error", "cannot keep .*Read-only.*mount it"),
        ({"code": "0" * 64}, "error", "runs other code.*remove"),
        ({"disk": 2**20}, "warning", "0.0 GiB free in /tmp.*make room"),
        ({"memory": 2**30}, "warning", "1.0 GiB of memory free.*--concurrent"),
        ({"wandb": False}, "warning", "W&B does not answer.*report DIR --wandb"),
        ({"wandb_key": False}, "warning", "has no W&B key: set WANDB_API_KEY.*report DIR --wandb"),
    ],
)
def test_each_fault_is_found_on_its_node_with_its_remedy(
    healthy: dict, change: dict, level: str, says: str
):
    import re

    [(its_level, text)] = issues(healthy | change)
    assert its_level == level and re.search(rf"{level}: node7: {says}", text)


@pytest.mark.parametrize("package", ["python", "torch", "numpy", "ray"])
def test_other_versions_are_errors(healthy: dict, package: str):
    versions = healthy["versions"] | {package: "0.1"}
    [(level, text)] = issues(healthy | {"versions": versions})
    assert level == "error" and f"has {package} 0.1" in text


def test_a_clock_is_off_only_by_what_the_answer_cannot_explain(healthy: dict):
    now = time.time()
    assert diagnose({"node7": healthy | {"time": now}}, now - 3, now + 3) == []
    [late] = diagnose({"node7": healthy | {"time": now + 100}}, now - 3, now)
    [early] = diagnose({"node7": healthy | {"time": now - 103}}, now - 3, now)
    assert "100 s" in str(late) and "100 s" in str(early) and late.level == "warning"


def test_a_marker_is_seen_in_the_same_storage_and_nowhere_else(tmp_path: Path):
    with marked(str(tmp_path / "here"), None) as check:
        assert examine(check)["marker"] is True
        (tmp_path / "there").mkdir()
        other = NodeCheck(str(tmp_path / "there"), check.marker)
        missing = NodeCheck(str(tmp_path / "nowhere"), check.marker)
        assert examine(other)["marker"] is examine(missing)["marker"] is False
    assert examine(check)["marker"] is False


@pytest.mark.parametrize(
    ("call", "number", "says"),
    [
        ("link", errno.ENOSYS, "has no hard links"),
        ("replace", errno.EROFS, "Read-only file system"),
        ("fsync", errno.EIO, "Input/output error"),
    ],
)
def test_a_node_on_which_the_storage_cannot_hold_a_study_is_found(
    tmp_path: Path, monkeypatch, call: str, number: int, says: str
):
    def fail(*args: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    with marked(str(tmp_path), None) as check:
        assert examine(check)["storage"] is None
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            node = examine(check)
    assert node["marker"] is True and says in node["storage"]


def test_nodes_are_asked_for_the_storage_by_its_full_path(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with marked("runs/x", None) as check:
        assert check.storage == str(tmp_path / "runs/x")
        monkeypatch.chdir("/")
        assert examine(check)["marker"] is True


def test_a_place_that_is_not_there_is_tried_and_gone_again(tmp_path: Path):
    (tmp_path / "there").mkdir()
    for place in ("new/study", "there"):
        with marked(str(tmp_path / place), None) as check:
            assert examine(check)["marker"] is True
    assert [f.name for f in tmp_path.iterdir()] == ["there"]


def test_this_machine_is_examined_without_ray(tmp_path: Path):
    nodes, _ = examine_here(str(tmp_path), None)
    [node] = nodes.values()
    assert node["marker"] is True and node["cpus"] >= 1 and node["wandb"] is None


def test_a_server_that_answers_with_an_error_is_reachable_and_a_closed_port_is_not():
    import http.server
    import threading

    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        server.RequestHandlerClass.log_message = lambda *args: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert examine(NodeCheck(url=url))["wandb"] is True
        server.shutdown()
    assert examine(NodeCheck(url=url))["wandb"] is False


@pytest.mark.parametrize("address", [None, "head:6379"])
def test_an_error_on_any_machine_ends_a_launch_and_a_warning_is_said(monkeypatch, address):
    monkeypatch.setattr(ray, "nodes", list)
    error = HealthIssue("error", "node 2", "has no torch", "install it")
    warning = HealthIssue("warning", "node 1", "1 GiB free", "make room")
    name = "examine_here" if address is None else "examine_cluster"
    monkeypatch.setattr(doctor, name, lambda storage, url: ({}, [warning, error]))
    config = cast(WorkerConfig, SimpleNamespace(storage="s", tracking="disabled"))
    said: list[str] = []
    with pytest.raises(UserError, match=r"\Anode 2: has no torch: install it\Z"):
        refuse_unfit(address, config, said.append)
    assert said == ["warning: node 1: 1 GiB free: make room"]


def test_a_machine_that_joined_by_itself_stops_no_launch(monkeypatch):
    def nodes() -> list[dict]:
        node = {"NodeManagerHostname": "host", "Alive": True}
        joined = {"NodeID": "a" * 8, "Labels": {JOINED: "yes"}}
        return [node | joined, node | {"NodeID": "b" * 8, "Labels": {}}]

    monkeypatch.setattr(ray, "nodes", nodes)
    config = cast(WorkerConfig, SimpleNamespace(storage="s", tracking="disabled"))
    names = [node_name(node) for node in nodes()]
    found = [HealthIssue("error", name, "has no torch", "install it") for name in names]
    monkeypatch.setattr(doctor, "examine_cluster", lambda storage, url: ({}, found[:1]))
    refuse_unfit("head:6379", config, print)
    monkeypatch.setattr(doctor, "examine_cluster", lambda storage, url: ({}, found))
    with pytest.raises(UserError, match=r"\Ahost \(bbbbbb\): has no torch: install it\Z"):
        refuse_unfit("head:6379", config, print)


def folder_for_ray(monkeypatch, length: int, *, fallbacks: tuple[str, ...] = ("/tmp",)) -> str:
    """Where Ray goes whose temporary directory has a path of so many characters."""
    monkeypatch.setattr(machine, "FOLDERS", fallbacks)
    monkeypatch.setattr(machine.os, "access", lambda path, mode: True)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/" + "t" * (length - 1))
    return ray_folder()


@pytest.mark.parametrize("length", [4, 30, 38, 39, 60, 107, 250])
def test_rays_sockets_have_room_however_long_the_temporary_directory(monkeypatch, length: int):
    folder = folder_for_ray(monkeypatch, length)
    assert folder == ("/" + "t" * (length - 1) if length <= 38 else "/tmp") + "/ray"
    assert len(folder + machine.RAY_SOCKET) <= 107


def test_where_there_is_no_room_for_them_doctor_and_launch_say_what_to_set(monkeypatch):
    with pytest.raises(UserError, match=r"\Atemporary directory '/t+': .* set RAY_TMPDIR\Z"):
        folder_for_ray(monkeypatch, 200, fallbacks=())
    _, found = examine_here(None, None)
    assert [issue.level for issue in found if "RAY_TMPDIR" in str(issue)] == ["error"]


def test_a_folder_that_cannot_be_written_is_passed_over(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(machine, "FOLDERS", ("/t",))
    monkeypatch.setattr(machine.os, "access", lambda path, mode: path == "/t")
    monkeypatch.setenv("RAY_TMPDIR", "/s")
    assert ray_folder() == "/t/ray"

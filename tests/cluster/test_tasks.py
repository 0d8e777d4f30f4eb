"""What a worker does around a trial: it looks at its node, and asks whether to stop."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, GetTimeoutError, RaySystemError

from pipelines.cluster import tasks
from pipelines.cluster.tasks import StopFlag, StopPoller, node_faults
from pipelines.documents import sha256
from pipelines.execution import worker
from pipelines.execution.worker_config import NodeCheck, WorkerConfig
from pipelines.provenance import provenance
from tests.execution.test_worker import SPECS, setting

SPEC = SPECS["ce"]


@pytest.fixture
def config(tmp_path: Path, monkeypatch) -> WorkerConfig:
    """Of a study that is there, as its driver has made it."""
    storage = tmp_path / "shared" / "study"
    storage.mkdir(parents=True)
    (storage / "study.json").write_bytes(b"study")
    monkeypatch.setattr(tasks, "_examined", set())
    check = NodeCheck(str(storage), "study.json", sha256(b"study"), wanted=provenance())
    return setting(storage, check=check)


def test_a_node_that_sees_the_study_and_is_as_its_driver_may_run_trials(config: WorkerConfig):
    assert node_faults(config, SPEC) == ()


def test_a_storage_that_is_missing_is_a_fault_and_is_not_made(config: WorkerConfig, tmp_path: Path):
    (tmp_path / "shared").rename(tmp_path / "elsewhere")
    [fault] = node_faults(config, SPEC)
    assert fault.startswith("does not see the study's storage: give a --storage")
    assert not (tmp_path / "shared").exists()


@pytest.mark.parametrize("there", [None, b"another study"])
def test_another_directory_in_the_storages_place_is_a_fault_and_stays_as_it_is(
    config: WorkerConfig, there: bytes | None
):
    place = Path(config.storage) / "study.json"
    place.unlink() if there is None else place.write_bytes(there)
    before = {*Path(config.storage).rglob("*")}
    assert "does not see the study's storage" in node_faults(config, SPEC)[0]
    assert {*Path(config.storage).rglob("*")} == before


@pytest.mark.parametrize("call", ["link", "replace", "fsync", "unlink"])
def test_a_storage_that_cannot_be_written_is_a_fault(config: WorkerConfig, monkeypatch, call: str):
    def fail(*args: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, call, fail)
    [fault] = node_faults(config, SPEC)
    assert fault.startswith("cannot keep a study in the storage (Read-only file system)")


def test_other_versions_and_other_code_than_the_drivers_are_faults(config: WorkerConfig):
    versions = provenance()["versions"] | {"torch": "0.1"}
    wanted = provenance() | {"versions": versions, "code": "0" * 64}
    check = replace(config.check, wanted=wanted)
    faults = " ".join(node_faults(replace(config, check=check), SPEC))
    assert "the driver 0.1: install the same versions" in faults and "runs other code" in faults


def test_data_that_are_not_those_of_the_driver_are_a_fault(config: WorkerConfig):
    [fault] = node_faults(replace(config, fingerprint="another"), SPEC)
    assert fault.startswith("cannot read the study's data (data.source = 'digits': gave other data")


def test_a_node_is_examined_once_but_its_storage_is_looked_for_before_each_trial(
    config: WorkerConfig, monkeypatch, tmp_path: Path
):
    assert node_faults(config, SPEC) == ()
    monkeypatch.setattr("pipelines.execution.machine.fitness", lambda check: pytest.fail("again"))
    assert node_faults(config, SPEC) == ()
    monkeypatch.undo()
    (tmp_path / "shared").rename(tmp_path / "unmounted")
    assert "does not see" in node_faults(config, SPEC)[0]


class Context:
    def get_node_id(self) -> str:
        return "n1"


@pytest.fixture
def job(config: WorkerConfig, monkeypatch):
    """Run a job as in a Ray worker; how it ended."""
    monkeypatch.setattr(tasks.ray, "get_runtime_context", Context)
    monkeypatch.setattr(StopPoller, "__call__", lambda poller: poller.answer != "go on")

    def run(config: WorkerConfig = config) -> tasks.Ending:
        words: dict[str, Any] = {"spec": SPEC, "attempt": 1, "gpus": 0.0, "rung": None}
        return tasks.ray_trial(words, config, None)["ending"]

    return run


def test_nothing_is_computed_where_a_node_declines(job, config: WorkerConfig, monkeypatch):
    monkeypatch.setattr(worker, "run_attempt", lambda *_: pytest.fail("it ran"))
    (Path(config.storage) / "study.json").unlink()
    ending = job()
    assert ending.node == "n1" and len(ending.faults) == 1 and not ending.stopped


def test_a_failure_that_could_not_be_written_for_the_nodes_sake_is_told_as_the_nodes_fault(
    job, config: WorkerConfig, monkeypatch
):
    """Its mount goes while a trial runs."""

    def unmount(*_: object) -> None:
        Path(config.storage).rename(Path(config.storage).with_name("unmounted"))
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(worker, "_run", unmount)
    ending = job()
    assert "does not see the study's storage" in ending.faults[0] and ending.lost is None


def test_a_failure_that_could_not_be_written_on_a_fit_node_is_told_as_it_is(job, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(worker, "_run", full)
    monkeypatch.setattr(worker.Attempt, "record", full)
    ending = job()
    assert ending.faults == () and ending.lost.message == "[Errno 122] Disk quota exceeded"
    assert ending.lost.error_class == "data" and ending.lost.host == os.uname().nodename


@pytest.mark.parametrize(
    ("answer", "stops"),
    [
        ("stop", True),
        ("leave", True),
        ("go on", False),
        ("timeout", False),
        ("driver gone", True),
        ("other", True),
    ],
)
def test_a_worker_stops_when_it_is_told_to_or_when_nobody_is_left_to_tell(
    monkeypatch, answer: str, stops: bool
):
    errors = {
        "timeout": GetTimeoutError(),
        "driver gone": ActorDiedError(),
        "other": RaySystemError("the raylet is gone"),
    }

    def get(reference, timeout):
        if answer in errors:
            raise errors[answer]
        return answer

    class Flag:
        class wish:
            remote = staticmethod(lambda node: None)

    monkeypatch.setattr(tasks.ray, "get", get)
    poller = StopPoller(Flag(), "n1")
    assert poller() is stops and (poller.answer == "leave") == (answer == "leave")


def test_what_ray_says_of_drained_nodes_is_no_reason_to_stop_when_it_cannot(monkeypatch):
    class State:
        def get_draining_nodes(self):
            raise RuntimeError("the GCS is away")

    monkeypatch.setattr(tasks, "state", State())
    assert tasks.leaving_nodes() == set() and StopFlag().wish("n1") == "go on"


def test_those_on_a_node_that_is_drained_are_to_leave_and_all_are_to_stop(monkeypatch):
    monkeypatch.setattr(tasks, "leaving_nodes", lambda: {"n1"})
    flag = StopFlag()
    assert [flag.wish(node) for node in ("n1", "n2", None)] == ["leave", "go on", "go on"]
    flag.raise_()
    assert [flag.wish(node) for node in ("n1", "n2", None)] == ["stop"] * 3

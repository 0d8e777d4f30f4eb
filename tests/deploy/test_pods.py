"""Pods of Kubernetes as far as processes go: `ray start --block` is the first of each pod.

It takes the pod's SIGTERM and tells nobody, so rayjob.yaml has commands that run before. Run by
`make test-cluster`; needs root.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from tests.deploy.conftest import CHECKPOINT
from tests.support.launches import ROOT
from tests.support.ray_nodes import Nodes, ray_nodes
from tests.support.slurm import PATIENCE

pytestmark = [pytest.mark.cluster]
POD = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
GRACE = 60.0  # seconds, of rayjob.yaml
PROGRAM = str(Path(sys.executable).with_name("untuned"))


def before_stop(group: str) -> list[str]:
    """What Kubernetes runs in a pod before it sends SIGTERM, by rayjob.yaml."""
    job = yaml.safe_load((ROOT / "deploy" / "rayjob.yaml").read_text())
    cluster = job["spec"]["rayClusterSpec"]
    groups = {"head": cluster["headGroupSpec"], "worker": cluster["workerGroupSpecs"][0]}
    pod = groups[group]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == GRACE
    return pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]


class Pod:
    """A process namespace, by the process of this machine that made it."""

    def __init__(self, made_by: subprocess.Popen[bytes], nodes: Nodes) -> None:
        [first] = psutil.Process(made_by.pid).children()
        self.first = first.pid
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = nodes.environment | {"PATH": path, "PYTHONPATH": str(ROOT)}

    def start(self, *command: str, output: Path) -> subprocess.Popen[bytes]:
        """A command in the pod."""
        inside = ["nsenter", f"--target={self.first}", "--pid", "--mount", *command]
        with output.open("w") as said:
            return subprocess.Popen(inside, env=self.environment, stdout=said, stderr=said)

    def stop(self, group: str, output: Path) -> None:
        """As Kubernetes does it; what is left goes with the first process."""
        self.start(*before_stop(group), output=output).wait(GRACE)
        os.kill(self.first, signal.SIGTERM)


@pytest.fixture(scope="module")
def may_have_pods() -> None:
    tried = subprocess.run([*POD, "true"], capture_output=True, text=True, check=False)
    if os.geteuid() != 0 or tried.returncode:
        pytest.skip(f"process namespaces need root: {tried.stderr.strip()}")


@pytest.fixture
def nodes(may_have_pods: None) -> Iterator[Nodes]:
    with ray_nodes(prefix=POD) as started:
        yield started


def launch(study: Path, storage: Path, nodes: Nodes) -> subprocess.Popen[bytes]:
    """As `ray job submit` has it: in the head's pod, and no child of its first process."""
    options = ["--storage", str(storage), "--checkpoint-seconds", "0.2", "--device", "cpu"]
    options += ["--wandb", "disabled", "--address", nodes.address]
    command = [sys.executable, PROGRAM, "launch", str(study), *options]
    return Pod(nodes.head, nodes).start(*command, output=storage.with_suffix(".out"))


def wait_until(true: Callable[[], object], launched: subprocess.Popen[bytes], said: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert launched.poll() is None and time.monotonic() < deadline, said.read_text()
        time.sleep(0.2)


def test_a_worker_that_is_preempted_leaves_checkpoints_and_a_head_that_goes_stops_its_launch(
    nodes: Nodes, study_file: Path, tmp_path: Path, judge: Callable[..., None]
):
    storage = tmp_path / "study"
    said, hooks = storage.with_suffix(".out"), tmp_path / "hooks"
    worker = Pod(nodes.add(prefix=POD), nodes)
    launched = launch(study_file, storage, nodes)
    wait_until(lambda: list(storage.glob(CHECKPOINT)), launched, said)
    worker.stop("worker", hooks)
    wait_until(lambda: "is gone" in said.read_text(), launched, said)
    assert "is about to go; its trials leave a checkpoint" in said.read_text(), hooks.read_text()
    wait_until(lambda: list(storage.glob(CHECKPOINT)), launched, said)
    Pod(nodes.head, nodes).stop("head", hooks)
    assert launched.wait(GRACE) == 128 + signal.SIGTERM, said.read_text()
    assert "Stopped by SIGTERM; what was done is kept" in said.read_text()
    inline = ["--storage", str(storage), "--executor", "inline", "--wandb", "disabled"]
    command = [sys.executable, str(ROOT / "run_sweep.py"), "launch", str(study_file), *inline]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    judge(storage, "a worker's pod goes, then the head's; inline", "preStop, then SIGTERM to 1")

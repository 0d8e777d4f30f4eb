"""A launch on Ray nodes whose head's link is cut: for less than Ray's time-outs, and for good.

Run by `make test-cluster`; needs root. Each node is on an emulated host of its own network.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.conftest import CHECKPOINT
from tests.support.hosts import Hosts, hosts, missing
from tests.support.launches import ROOT
from tests.support.ray_nodes import Nodes, ray_nodes
from tests.support.slurm import PATIENCE

pytestmark = [pytest.mark.cluster]
SHORT = 10.0  # seconds; Ray misses a node after a minute
HOSTS = ("head", "driver", "worker")


class Launch:
    """A launch on the host `driver`, which is a node of the cluster."""

    def __init__(self, network: Hosts, nodes: Nodes, study: Path, storage: Path) -> None:
        self.storage, self._said = storage, storage.with_suffix(".out")
        options = ["--storage", str(storage), "--checkpoint-seconds", "0.2", "--device", "cpu"]
        options += ["--wandb", "disabled", "--address", nodes.address]
        with self._said.open("w") as output:
            self.process = subprocess.Popen(
                [*network.on("driver"), *_launch(study), *options],
                env=nodes.environment | {"PYTHONUNBUFFERED": "1"},
                stdout=output,
                stderr=output,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def wait_until(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert self.process.poll() is None and time.monotonic() < deadline, self.said
            time.sleep(0.2)

    def wait_for_checkpoint(self) -> None:
        self.wait_until(lambda: list(self.storage.glob(CHECKPOINT)))

    def end(self) -> int:
        return self.process.wait(PATIENCE)


def _launch(study: Path) -> list[str]:
    return [sys.executable, str(ROOT / "run_sweep.py"), "launch", str(study)]


@pytest.fixture
def network() -> Iterator[Hosts]:
    if reason := missing():
        pytest.skip(reason)
    with hosts(*HOSTS) as made:
        yield made


@pytest.fixture
def nodes(network: Hosts) -> Iterator[Nodes]:
    with ray_nodes(network, "head") as started:
        for host in ("driver", "worker"):
            started.add(host=host)
        yield started


def test_a_head_may_be_away_for_a_while_and_when_it_has_vanished_the_launch_ends_with_4(
    network: Hosts, nodes: Nodes, study_file: Path, tmp_path: Path, judge: Callable[..., None]
):
    launch = Launch(network, nodes, study_file, tmp_path / "study")
    launch.wait_for_checkpoint()
    network.cut("head")
    time.sleep(SHORT)
    network.mend("head")
    time.sleep(SHORT)
    assert launch.process.poll() is None, launch.said
    network.cut("head")
    assert launch.end() == 4, launch.said
    assert "the cluster's head is lost" in launch.said.splitlines()[-1]
    inline = ["--storage", str(launch.storage), "--executor", "inline", "--wandb", "disabled"]
    subprocess.run([*_launch(study_file), *inline], check=True, stdout=subprocess.DEVNULL)
    judge(launch.storage, "the head's link, for 10 s and for good; inline", "its network")

"""Nodes that come to a running launch and are not fit, or that are told to go. With real Ray."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
import ray
from ray.util.placement_group import placement_group

from pipelines.cluster.nodes import live_nodes, without
from pipelines.cluster.tasks import ASK_SECONDS, StopFlag, leaving_nodes
from pipelines.ledger.ledger import Ledger
from tests.cluster.test_connection import assert_as_inline, start, wait_for_trial
from tests.support.ray_nodes import RAY, Nodes, ray_nodes

LONGER = ["--arms", "ce,l2rw,gce", "--repeats", "2", "--trials", "5"]
METADATA = "Metadata-Version: 2.1\nName: numpy\nVersion: 0.0.1\n"


def add_one_without_the_storage(nodes: Nodes, storage: Path) -> None:
    hidden = f'mount -t tmpfs none {storage.parent} && exec "$@"'
    prefix = ["unshare", "--map-root-user", "--mount", "sh", "-c", hidden, "sh"]
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"mount namespaces are not permitted here: {tried.stderr.strip()}")
    nodes.add(prefix)


def add_one_with_another_numpy(nodes: Nodes, packages: Path) -> None:
    installed = packages / "numpy-0.0.1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text(METADATA)
    nodes.add(["env", f"PYTHONPATH={packages}"])


def wait_for_line(said: Path, text: str, launched: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while text not in said.read_text():
        assert launched.poll() is None and time.monotonic() < deadline, said.read_text()
        time.sleep(0.1)


@pytest.mark.slow
def test_late_nodes_run_trials_only_if_they_are_as_the_first_ones(tmp_path: Path):
    """One has another disk in the storage's place, one another numpy."""
    storage, said = tmp_path / "shared" / "study", tmp_path / "said"
    storage.parent.mkdir()
    with ray_nodes() as nodes, said.open("w") as output:
        launched = start(nodes, storage, *LONGER, "--address", nodes.address, stdout=output)
        wait_for_trial(storage, launched)
        launched.send_signal(signal.SIGSTOP)  # until they are all there
        add_one_without_the_storage(nodes, storage)
        add_one_with_another_numpy(nodes, tmp_path / "packages")
        launched.send_signal(signal.SIGCONT)
        wait_for_line(said, "does not see the study's storage", launched)
        wait_for_line(said, "has numpy 0.0.1, the driver ", launched)
        _, err = launched.communicate(timeout=120)
        assert (launched.returncode, err) == (0, "")
        lines = said.read_text().splitlines()
        assert lines[0] == "Ray: 1 node, 2 CPUs: 2 trials at once"
        assert sum(" runs no trials: " in line for line in lines) == 2
        attempts = list(storage.glob("trials/*/attempts/*"))
        assert len(attempts) <= len(Ledger.open(str(storage)).trials()) + 4  # one each, or two
        assert_as_inline(nodes, storage, *LONGER)


@pytest.mark.slow
def test_ray_keeps_trials_from_nodes_to_be_avoided_and_tells_which_it_drains(monkeypatch):
    """What the searcher, and the flag that workers ask, rely on."""
    with ray_nodes() as nodes:
        nodes.add()
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        ray.init(nodes.address, log_to_driver=False, logging_level="critical")
        try:
            [late] = [n["NodeID"] for n in live_nodes() if n["Resources"].get("CPU") == 1.0]
            elsewhere = [placement_group([{"CPU": 1.0}], **without([late])) for _ in range(3)]
            ready, waiting = ray.wait(
                [group.ready() for group in elsewhere], num_returns=3, timeout=3.0
            )
            assert (len(ready), len(waiting)) == (2, 1)
            flag = ray.remote(num_cpus=0)(StopFlag).remote()
            assert ray.get(flag.wish.remote(late)) == "go on"
            why = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot"]
            drain = [RAY, "drain-node", "--address", nodes.address, "--node-id", late, *why]
            drain += ["--deadline-remaining-seconds", "60"]
            subprocess.run(drain, env=nodes.environment, capture_output=True, check=True)
            time.sleep(ASK_SECONDS)
            assert ray.get(flag.wish.remote(late)) == "leave" and leaving_nodes() == {late}
        finally:
            ray.shutdown()

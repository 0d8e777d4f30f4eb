"""Nodes that come to a running launch and are not fit, or that are told to go. With real Ray."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.cluster.nodes import live_nodes, selector
from pipelines.cluster.tasks import ASK_SECONDS, StopFlag, leaving_nodes
from pipelines.ledger.ledger import Ledger
from tests.cluster.test_connection import PROGRAM, SMALL, assert_as_inline, start, wait_for_trial
from tests.support.object_store import BUCKET, object_store
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


def only_on(node: str) -> dict[str, Any]:
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def wait_for_line(said: Path, text: str, launched: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
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
        _, err = launched.communicate(timeout=400)
        assert (launched.returncode, err) == (0, "")
        lines = said.read_text().splitlines()
        assert lines[0] == "Ray: 1 node, 2 CPUs: 2 trials at once"
        assert sum(" runs no trials: " in line for line in lines) == 2
        attempts = list(storage.glob("trials/*/attempts/*"))
        assert len(attempts) <= len(Ledger.open(str(storage)).trials()) + 4  # one each, or two
        assert_as_inline(nodes, storage, *LONGER)


@pytest.mark.slow
def test_a_late_node_with_other_keys_of_the_object_store_declines_by_name(
    tmp_path: Path, monkeypatch
):
    said, storage = tmp_path / "said", f"s3://{BUCKET}/study"
    more = ["--trials", "400"]  # than it will come to
    with object_store() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with ray_nodes() as nodes, said.open("w") as output:
            launched = subprocess.Popen(
                [*PROGRAM, *SMALL, *more, "--storage", storage, "--address", nodes.address],
                env=nodes.environment | {"PYTHONUNBUFFERED": "1"},
                cwd=tmp_path,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
            )
            wait_for_line(said, "Ray: 1 node", launched)
            nodes.add(["env", "AWS_ACCESS_KEY_ID=nobody"])
            wait_for_line(said, " runs no trials: cannot use the study's storage (", launched)
            launched.send_signal(signal.SIGUSR1)
            _, err = launched.communicate(timeout=400)
        assert (launched.returncode, err) == (138, "")
        [line] = [line for line in said.read_text().splitlines() if " runs no trials: " in line]
        assert "InvalidAccessKeyId" in line and "keys of the store in its environment" in line
        assert all(trial.error is None for trial in Ledger.open(storage).trials().values())


@pytest.mark.slow
def test_ray_keeps_trials_to_labels_and_from_nodes_and_tells_which_it_drains(monkeypatch):
    """What the searcher, and the flag that workers ask, rely on."""
    spot = {"market-type": "spot"}
    with ray_nodes() as nodes:
        nodes.add(options=["--labels=market-type=spot"])
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        ray.init(nodes.address, log_to_driver=False, logging_level="critical")
        try:
            [late] = [n["NodeID"] for n in live_nodes() if n["Resources"].get("CPU") == 1.0]
            elsewhere = [placement_group([{"CPU": 1.0}], **selector({}, [late])) for _ in range(3)]
            places = [group.ready() for group in elsewhere]
            _, [third] = ray.wait(places, num_returns=2, timeout=60)
            labelled = placement_group([{"CPU": 1.0}], **selector(spot, []))
            assert ray.wait([labelled.ready()], timeout=60)[0]
            ray.util.remove_placement_group(labelled)
            nowhere = placement_group([{"CPU": 1.0}], **selector(spot, [late])).ready()
            assert ray.wait([third, nowhere], timeout=3) == ([], [third, nowhere])
            flag = ray.remote(num_cpus=0)(StopFlag).remote()
            assert ray.get(flag.wish.remote(late)) == "go on"
            trial = ray.remote(num_cpus=1)(StopFlag).options(**only_on(late)).remote()
            ray.get(trial.raise_.remote())  # a node at rest would be gone as soon as it is drained
            why = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot"]
            drain = [RAY, "drain-node", "--address", nodes.address, "--node-id", late, *why]
            drain += ["--deadline-remaining-seconds", "600"]
            subprocess.run(drain, env=nodes.environment, capture_output=True, check=True)
            deadline = time.monotonic() + 120  # the nodes tell the head of it, when they come to it
            while leaving_nodes() != {late}:
                assert time.monotonic() < deadline, live_nodes()
                time.sleep(0.1)
            time.sleep(ASK_SECONDS)  # the flag looks no oftener
            assert ray.get(flag.wish.remote(late)) == "leave"
            assert ray.get(flag.wish.remote()) == "go on"
        finally:
            ray.shutdown()

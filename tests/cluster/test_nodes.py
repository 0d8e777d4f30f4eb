"""What a launch says of its cluster's nodes, and how many trials it counts on them. Without Ray."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.cluster import nodes as module
from pipelines.cluster.nodes import NodeWatch, gpus_in_use, selector, trials_on
from pipelines.cluster.tasks import Ending
from pipelines.execution.machine import examine
from pipelines.execution.worker_config import NodeCheck, Resources
from pipelines.provenance import provenance


def node(name: str, **resources: float) -> dict[str, Any]:
    described = {"NodeID": name * 8, "NodeManagerHostname": f"host-{name}", "Alive": True}
    return described | {"Resources": resources, "Labels": {"ray.io/node-id": name * 8}}


A, B = node("a", CPU=16.0, GPU=2.0), node("b", CPU=32.0, GPU=2.0)
A["Resources"]["accelerator_type:H100"] = 1.0
A["Labels"] |= {"market-type": "spot", "region": "here"}


@pytest.mark.parametrize(
    ("taken", "fit"),
    [
        ({}, 16),
        ({"cpus": 3.0}, 5),
        ({"cpus": 0.1}, 160),
        ({"gpus": 1.0}, 2),
        ({"gpus": 0.5}, 4),
        ({"gpus": 0.4}, 4),  # two on each, not five on both
        ({"gpus": 0.3333}, 6),
        ({"gpus": 3.0}, 0),
        ({"gpus": 1.0, "accelerator": "H100"}, 2),
        ({"gpus": 1.0, "accelerator": "A100"}, 0),
        ({"accelerator": "A100"}, 16),  # without a GPU, of whatever type
        ({"labels": {"market-type": "spot"}}, 16),
        ({"labels": {"market-type": "spot", "region": "there"}}, 0),
        ({"labels": {"zone": "here"}}, 0),
    ],
)
def test_trials_are_counted_by_node_and_by_gpu(taken: dict[str, Any], fit: int):
    assert trials_on(A, Resources(**taken)) == fit


def test_a_placement_group_is_kept_to_labels_and_from_nodes_by_rays_own():
    assert selector({}, []) == {}
    declined = {"ray.io/node-id": "!in(a,b)"}
    assert selector({}, ["a", "b"]) == {"bundle_label_selector": [declined]}
    spot = {"market-type": "spot"}
    assert selector(spot, []) == {"bundle_label_selector": [spot]}
    assert selector(spot, ["a", "b"]) == {"bundle_label_selector": [spot | declined]}


class Cluster:
    """Made-up nodes: live, leaving, and what those that join answer."""

    def __init__(self, monkeypatch, resources: Resources) -> None:
        self.live: list[dict[str, Any]] = [A, B]
        self.leaving: set[str] = set()
        self.answers: dict[str, Any] = {}
        self.said: list[str] = []
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
        monkeypatch.setattr(module, "live_nodes", lambda: self.live)
        monkeypatch.setattr(module, "leaving_nodes", lambda: self.leaving)
        monkeypatch.setattr(module, "remote_on", self._remote)
        monkeypatch.setattr(module.ray, "wait", self._wait)
        monkeypatch.setattr(module.ray, "get", self.answers.__getitem__)
        self.watch = NodeWatch(resources, NodeCheck(wanted=provenance()), self.said.append)

    def _remote(self, name: str, function: Any) -> Any:
        class Task:
            remote = staticmethod(lambda check: name)

        return Task

    def _wait(self, references: list[str], num_returns: int, timeout: float) -> Any:
        return [r for r in references if r in self.answers], []

    def look(self) -> list[str]:
        """What one look makes it say."""
        self.said.clear()
        self.watch.look()
        return [*self.said]


@pytest.fixture
def cluster(monkeypatch):
    return lambda **resources: Cluster(monkeypatch, Resources(**resources))


@pytest.fixture(scope="module")
def healthy() -> dict[str, Any]:
    plenty = {"disk": 2**40, "memory": 2**40, "marker": True}
    return examine(NodeCheck()) | plenty


def test_what_there_is_is_said_at_the_start_and_once(cluster):
    there = cluster(gpus=0.5)
    assert there.look() == ["Ray: 2 nodes, 48 CPUs, 4 GPUs: 8 trials at once"]
    assert there.look() == []


def test_gpus_that_trials_may_fill_are_those_of_fit_nodes(cluster):
    there = cluster(cpus=9.0, gpus=0.5)
    there.look()
    assert there.watch.whole_gpus == 3  # the CPUs of the first do for one trial
    there.leaving = {B["NodeID"]}
    there.look()
    assert there.watch.whole_gpus == 1


def test_where_others_use_gpus_nobody_knows_how_many_may_be_filled(monkeypatch):
    monkeypatch.setattr(module, "live_nodes", lambda: [A, B])
    monkeypatch.setattr(module, "leaving_nodes", set)
    shared = NodeWatch(Resources(gpus=0.5), NodeCheck(), lambda line: None, shared=True)
    shared.look()
    assert shared.whole_gpus == 0


@pytest.mark.parametrize(("idle", "used"), [(4.0, False), (3.5, True), (0.0, True)])
def test_part_of_a_gpu_is_in_use_too(monkeypatch, idle: float, used: bool):
    monkeypatch.setattr(module, "live_nodes", lambda: [A, B, node("c", CPU=8.0)])
    monkeypatch.setattr(module.ray, "available_resources", lambda: {"CPU": 1.0, "GPU": idle})
    assert gpus_in_use() is used


def test_a_limit_of_trials_and_one_node_without_gpus_are_said_as_they_are(cluster):
    there = cluster(concurrent=3)
    there.live = [node("a", CPU=1.0)]
    assert there.look() == ["Ray: 1 node, 1 CPU: 1 trial at once"]
    there.live = [node("a", CPU=9.0)]
    there.live.append(node("b", CPU=9.0))
    assert there.look() == ["Ray: host-b (bbbbbb) came; 2 nodes, 18 CPUs: 3 trials at once"]


def test_a_type_of_gpu_that_no_node_has_is_named(cluster):
    needs = "1 CPU and 1 GPU and accelerator_type:A100"
    said = cluster(gpus=1.0, accelerator="A100").look()
    assert said[1] == f"no node can run a trial, which takes {needs}: waiting for one that can"


def test_a_label_that_no_node_has_is_named(cluster):
    said = cluster(labels={"market-type": "reserved"}).look()
    needs = "1 CPU and label market-type=reserved"
    assert said[1] == f"no node can run a trial, which takes {needs}: waiting for one that can"


def test_nodes_that_come_and_go_are_named_in_one_line(cluster):
    there = cluster()
    there.live = [A]
    there.look()
    there.live = [B]
    assert there.look() == [
        "Ray: host-b (bbbbbb) came, host-a (aaaaaa) is gone; 1 node, 32 CPUs, 2 GPUs: "
        "32 trials at once"
    ]


def test_a_cluster_that_cannot_run_a_trial_is_said_once_until_it_can(cluster):
    there = cluster(gpus=16.0)
    waits = "no node can run a trial, which takes 1 CPU and 16 GPUs: waiting for one that can"
    assert there.look() == ["Ray: 2 nodes, 48 CPUs, 4 GPUs: 0 trials at once", waits]
    assert there.look() == []
    there.live = [A, B, node("c", CPU=16.0, GPU=16.0)]
    assert there.look()[0].endswith("20 GPUs: 1 trial at once")
    there.live = [A, B]
    assert there.look()[1:] == [waits]


def test_a_node_that_joins_is_asked_what_the_first_ones_were_and_may_be_avoided(cluster, healthy):
    there = cluster()
    there.live = [A]
    there.look()
    there.live = [A, B]
    there.look()
    versions = healthy["versions"] | {"torch": "0.1"}
    there.answers["b" * 8] = healthy | {"versions": versions}
    [torch] = there.look()
    assert torch.startswith("host-b (bbbbbb) runs no trials: has torch 0.1, the driver ")
    assert there.watch.avoided() == ["b" * 8] and there.look() == []


def test_a_healthy_node_that_joins_is_not_spoken_of_again(cluster, healthy):
    there = cluster()
    there.live = [A]
    there.look()
    there.live = [A, B]
    there.answers["b" * 8] = healthy
    assert len(there.look()) == 1 and there.look() == [] and there.watch.avoided() == []


def test_what_a_node_that_joins_is_warned_of_is_said(cluster, healthy):
    there = cluster()
    there.live = [A]
    there.look()
    there.live = [A, B]
    there.answers["b" * 8] = healthy | {"wandb_key": False}
    key = "warning: host-b (bbbbbb): has no W&B key: set WANDB_API_KEY there, or runs are kept "
    assert there.look()[1].startswith(key) and there.watch.avoided() == []


def test_a_node_that_was_not_fit_is_asked_again_later_and_may_run_trials_then(
    cluster, healthy, monkeypatch
):
    """Its storage was away for a while, say."""
    there = cluster()
    there.look()
    unseen = "does not see the study's storage: give a --storage"
    there.watch.heard(Ending("a" * 8, faults=(unseen,)))
    there.answers["a" * 8] = healthy
    assert there.look() == [] and there.watch.avoided() == ["a" * 8]
    monkeypatch.setattr(module, "AGAIN_SECONDS", -1.0)
    assert there.look() == []  # it is asked
    assert there.look() == ["host-a (aaaaaa) is fit now, and runs trials"]
    assert there.watch.avoided() == []


def test_a_node_that_a_worker_declines_is_named_once_and_forgotten_when_it_is_gone(cluster):
    there = cluster()
    there.look()
    for _ in range(2):
        there.watch.heard(Ending("a" * 8, faults=("has no data: put them there",)))
    assert there.said[1:] == ["host-a (aaaaaa) runs no trials: has no data: put them there"]
    assert there.watch.avoided() == ["a" * 8]
    there.live = [B]
    there.look()
    assert there.watch.avoided() == []


def test_where_every_node_declines_it_is_said_that_none_can_run_a_trial(cluster):
    there = cluster()
    there.look()
    for name in "ab":
        there.watch.heard(Ending(name * 8, faults=("has no torch: install it",)))
    assert there.look() == ["no node can run a trial, which takes 1 CPU: waiting for one that can"]


def test_a_node_that_is_drained_is_avoided_and_said(cluster):
    there = cluster()
    there.look()
    there.leaving = {"a" * 8, "unknown"}
    assert there.look() == [
        "Ray: host-a (aaaaaa) is about to go; its trials leave a checkpoint for other nodes"
    ]
    assert there.watch.avoided() == ["a" * 8] and there.look() == []

"""The nodes that a launch runs on: what they hold, which come and go, which it stays away from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.cluster.doctor import issues_of
from pipelines.cluster.tasks import Ending, examine_node, leaving_nodes
from pipelines.documents import Json
from pipelines.errors import UserError
from pipelines.execution.worker_config import ACCELERATOR, NodeCheck, Resources

LOOK_SECONDS = 2.0  # between two looks at the nodes
AGAIN_SECONDS = 300.0  # after which a node that was not fit is asked again: its storage was away
LABEL = "ray.io/node-id"  # that Ray gives to each node
JOINED = "untuned-joined"  # that deploy/slurm.sh gives to those of a job that joins another one

Node = dict[str, Any]  # as Ray tells it


def live_nodes() -> list[Node]:
    """All that Ray believes to live."""
    return [node for node in ray.nodes() if node["Alive"]]


def node_name(node: Node) -> str:
    """Its host, and the beginning of its id: several nodes may be on one host."""
    return f"{node['NodeManagerHostname']} ({node['NodeID'][:6]})"


def joined_by_themselves() -> set[str]:
    """Names of the nodes that come and go as they like, and may have come before the launch."""
    return {node_name(node) for node in live_nodes() if JOINED in node["Labels"]}


def remote_on(node: str, function: Callable[..., Any]) -> Any:
    """A task that runs on that node and nowhere else, whatever else it does."""
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(num_cpus=0, max_retries=0)(function).options(scheduling_strategy=there)


def trials_on(node: Node, resources: Resources) -> int:
    """How many trials fit on a node that runs nothing else. resources: of one.

    Shares of a GPU are of one and the same GPU.
    """
    if not resources.labels.items() <= node["Labels"].items():
        return 0
    needs = resources.needs
    return min(_fit(name, node["Resources"].get(name, 0.0), need) for name, need in needs.items())


def _fit(name: str, there: float, need: float) -> int:
    if name == "GPU" and need < 1 <= there:
        return int(there) * _times(1.0, need)
    return _times(there, need)


def _times(there: float, need: float) -> int:
    return math.floor(there / need + 1e-6)


def gpus_in_use() -> bool:
    """Whether somebody has some of the cluster's GPUs, or parts of them."""
    idle = ray.available_resources().get("GPU", 0.0)
    return idle < sum(node["Resources"].get("GPU", 0.0) for node in live_nodes())


def selector(labels: Mapping[str, str], avoided: list[str]) -> dict[str, list[dict[str, str]]]:
    """What keeps a placement group of one bundle to nodes with these labels, and from others."""
    wanted = dict(labels) | ({LABEL: f"!in({','.join(avoided)})"} if avoided else {})
    return {"bundle_label_selector": [wanted]} if wanted else {}


class NodeWatch:
    """Looks at a cluster's nodes from time to time, and says in a line each what has changed.

    resources: of a trial. check: what a node that joins is asked; the first ones have been. alone:
    there is this machine, and never another one. shared: others use some of the GPUs.
    """

    def __init__(
        self,
        resources: Resources,
        check: NodeCheck,
        say: Callable[[str], None],
        *,
        alone: bool = False,
        shared: bool = False,
    ) -> None:
        self._resources, self._check, self._say, self._alone = resources, check, say, alone
        self._names: dict[str, str] | None = None  # of the nodes at the last look, by id
        self._avoided: dict[str, float] = {}  # when each was found so; inf: it will not come back
        self._faults: dict[str, str] = {}  # of each node, as last said
        self._examined: dict[Any, str] = {}  # nodes that have not answered yet, by what they will
        self._looked, self._starving = -math.inf, False
        self._shared = shared
        self.whole_gpus = 0  # that trials may fill, as of the last look; where others do, unknown

    def look(self) -> None:
        """Say what has changed, if it is time for a look."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        nodes = live_nodes()
        ids = {node["NodeID"] for node in nodes}
        self._avoided = {node: since for node, since in self._avoided.items() if node in ids}
        self._tell_changes(nodes)
        self._hear_answers()
        self._ask_again()
        for node in leaving_nodes() & ids:
            self._leaves(node)
        self._tell_starvation(nodes)
        whole = replace(self._resources, gpus=1.0)
        self.whole_gpus = 0 if self._shared else self._slots(nodes, whole)

    def avoided(self) -> list[str]:
        """Ids of the nodes that are to run no more trials."""
        return sorted(self._avoided)

    def heard(self, ending: Ending) -> None:
        """Take from a worker's word what it says of its node.

        Raises:
            UserError: it is the only one, and cannot run trials.
        """
        if ending.faults and self._alone:
            raise UserError(f"this machine runs no more trials: {'; '.join(ending.faults)}")
        if ending.leaves:
            self._leaves(ending.node)
        if ending.faults:
            self._decline(ending.node, "; ".join(ending.faults))

    def _tell_changes(self, nodes: list[Node]) -> None:
        before, now = self._names, {node["NodeID"]: node_name(node) for node in nodes}
        self._names = now
        if before is None:
            self._say(f"Ray: {self._described(nodes)}")
            return
        changes = [f"{name} came" for node, name in now.items() if node not in before]
        changes += [f"{name} is gone" for node, name in before.items() if node not in now]
        if changes:
            self._say(f"Ray: {', '.join(changes)}; {self._described(nodes)}")
        for node in now.keys() - before.keys():
            self._ask(node)

    def _ask(self, node: str) -> None:
        self._examined[remote_on(node, examine_node).remote(self._check)] = node

    def _ask_again(self) -> None:
        for node, since in self._avoided.items():
            if self._looked - since > AGAIN_SECONDS:
                self._avoided[node] = self._looked
                self._ask(node)

    def _hear_answers(self) -> None:
        if not self._examined:
            return
        answered, _ = ray.wait(list(self._examined), num_returns=len(self._examined), timeout=0)
        for reference in answered:
            node = self._examined.pop(reference)
            with suppress(RayError):  # it is gone again, or its first trial says what is wrong
                self._judge(node, ray.get(reference))

    def _judge(self, node: str, answer: Json) -> None:
        name, again = self._name(node), node in self._avoided
        issues = issues_of(name, answer, self._check.wanted or answer)
        errors = [f"{i.fault}: {i.remedy}" for i in issues if i.level == "error"]
        if errors:
            self._decline(node, "; ".join(errors))
        elif not again:
            for issue in issues:
                self._say(str(issue))
        elif self._avoided[node] != math.inf:
            del self._avoided[node], self._faults[node]
            self._say(f"{name} is fit now, and runs trials")

    def _name(self, node: str) -> str:
        return (self._names or {}).get(node, node[:6])

    def _decline(self, node: str, fault: str) -> None:
        self._avoided.setdefault(node, time.monotonic())
        if self._faults.get(node) != fault:
            self._faults[node] = fault
            self._say(f"{self._name(node)} runs no trials: {fault}")

    def _leaves(self, node: str) -> None:
        if self._avoided.get(node) != math.inf:
            self._avoided[node] = math.inf
            name = self._name(node)
            self._say(f"Ray: {name} is about to go; its trials leave a checkpoint for other nodes")

    def _tell_starvation(self, nodes: list[Node]) -> None:
        before, self._starving = self._starving, not self._slots(nodes, self._resources)
        if self._starving and not before:
            labels = [f"label {key}={value}" for key, value in self._resources.labels.items()]
            needs = " and ".join([_amounts(self._resources.needs), *labels])
            self._say(f"no node can run a trial, which takes {needs}: waiting for one that can")

    def _slots(self, nodes: list[Node], resources: Resources) -> int:
        return sum(trials_on(n, resources) for n in nodes if n["NodeID"] not in self._avoided)

    def _described(self, nodes: list[Node]) -> str:
        there = {n: sum(x["Resources"].get(n, 0.0) for x in nodes) for n in ("CPU", "GPU")}
        slots = self._slots(nodes, self._resources)
        slots = min(slots, self._resources.concurrent or slots)
        amounts = ", ".join([_count(len(nodes), "node"), _amounts(there, ", ")])
        return f"{amounts}: {_count(slots, 'trial')} at once"


def _amounts(amounts: Mapping[str, float], between: str = " and ") -> str:
    return between.join(
        _count(amount, name) if not name.startswith(ACCELERATOR) else name
        for name, amount in amounts.items()
        if amount or name == "CPU"
    )


def _count(amount: float, name: str) -> str:
    return f"{amount:g} {name}{'' if amount == 1 else 's'}"

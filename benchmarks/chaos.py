"""Kills parts of a running study at random, and compares with an undisturbed run.

    python -m benchmarks.chaos [--faults N] [--seed S] [--storage local|s3] [--json FILE]

Parts are drivers, workers and nodes. The cluster is Ray's own for tests: a head without processors
and two nodes, all on this machine. One study is launched on it again and again until it is
complete, as a user would; if that happens before all faults were dealt, another round begins. Exit
status 0 means: each round ended with every trial exactly once, and with the undisturbed run's
results.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import yaml
from rich.console import Console
from rich.table import Table

from tests.support.marks import marked_environment, marked_processes
from tests.support.object_store import BUCKET, object_store

ROOT = Path(__file__).parent.parent
KINDS = {"driver killed": 2, "driver stopped": 1, "worker killed": 4, "node killed": 3}  # odds
WAIT = (0.5, 4.0)  # seconds of undisturbed work between two faults
PATIENCE = 300.0  # seconds without any progress, after which something hangs
STUDY = {
    "name": "chaos",
    "protocol": {
        "noise": {"kind": "flip", "rate": 0.4},
        "splits": {"meta": 100, "val": 100, "test": 500},
        "schedule": {"epochs": 60, "lr": 0.05},
        "model": {"name": "mlp", "options": {"hidden": [256]}},
    },
    "request": {
        "arms": ["ce", "gce", "l2rw", "mw_net", "finetune"],
        "trials": 4,
        "repeats": 2,
        "seeds": 2,
    },
}


class Nodes:
    """The cluster: its address, and two nodes that may be killed."""

    def __init__(self, environment: dict[str, str]) -> None:
        os.environ.update(environment | {"RAY_AUTH_MODE": "disabled"})
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        self._nodes = [self._cluster.add_node(num_cpus=1) for _ in range(2)]
        self.address = self._cluster.address

    def kill_one(self, rng: random.Random) -> None:
        """Kill a node with all its processes at once, and join a fresh one."""
        node = self._nodes.pop(rng.randrange(len(self._nodes)))
        raylet = node.all_processes["raylet"][0].process.pid
        for process in psutil.Process(raylet).children():
            _kill(process.pid)
        _kill(raylet)
        self._cluster.remove_node(node, allow_graceful=False)
        self._nodes.append(self._cluster.add_node(num_cpus=1))

    def shutdown(self) -> None:
        """End all of it."""
        self._cluster.shutdown()


class Round:
    """One study, launched until it is complete."""

    def __init__(
        self, nodes: Nodes, study: Path, storage: str, environment: dict[str, str]
    ) -> None:
        self.nodes, self.environment = nodes, environment
        self.command = [sys.executable, str(ROOT / "run_sweep.py"), "launch", str(study)]
        self.command += ["--storage", storage, "--wandb", "disabled", "--address", nodes.address]
        self.command += ["--checkpoint-seconds", "0.5"]
        self.driver = self._start()
        self.launches = 1

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def complete(self) -> bool:
        """Whether the study is complete; a driver that ended before that is started again."""
        status = self.driver.poll()
        if status in (-signal.SIGKILL, 128 + signal.SIGTERM, -signal.SIGTERM):
            self.driver.communicate()  # closes its pipe
            self.driver, self.launches = self._start(), self.launches + 1
        elif status:
            assert self.driver.stderr
            said = self.driver.stderr.read().decode()
            raise RuntimeError(f"a launch ended with {status}: {said}")
        return status == 0

    def wait_for_workers(self) -> bool:
        """Wait until trials run; False if the study is complete before."""
        deadline = time.monotonic() + PATIENCE
        while not self.workers():
            if self.complete():
                return False
            if time.monotonic() > deadline:
                raise RuntimeError(f"no trial has run for {PATIENCE:.0f} s")
            time.sleep(0.2)
        return True

    def workers(self) -> list[int]:
        """Processes that run trials."""
        processes = marked_processes(self.environment)
        return [
            pid for pid, command in processes.items() if command.startswith("ray::ImplicitFunc")
        ]

    def deal(self, kind: str, rng: random.Random) -> None:
        """One fault."""
        if kind == "driver killed":
            self.driver.kill()
        elif kind == "driver stopped":
            self.driver.terminate()
        elif kind == "worker killed":
            _kill(rng.choice(self.workers() or [self.driver.pid]))
        else:
            self.nodes.kill_one(rng)
        if kind.startswith("driver"):
            self.driver.wait(PATIENCE)


def undisturbed(study: Path, storage: Path) -> None:
    """The same study without Ray and without faults."""
    command = [sys.executable, str(ROOT / "run_sweep.py"), "launch", str(study)]
    command += ["--executor", "inline", "--storage", str(storage), "--wandb", "disabled"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    counts = compare(str(storage), storage)
    if counts["equal"] != counts["trials"]:
        raise RuntimeError(f"the undisturbed run is not in order: {counts}")


def errors(storage: str) -> list[str]:
    """Why trials failed, if any did."""
    from pipelines.ledger.ledger import Ledger

    trials = Ledger.open(storage, create=False).trials().values()
    return [f"{trial.key}: {trial.error}" for trial in trials if trial.state == "failed"]


def compare(storage: str, reference: Path) -> dict[str, int]:
    """How the trials of a disturbed study stand against those of an undisturbed one."""
    from pipelines.documents import differences
    from pipelines.ledger.ledger import Ledger

    expected = Ledger.open(str(reference), create=False).trials()
    disturbed = Ledger.open(storage, create=False).trials()
    counts = Counter(
        "missing"
        if key not in disturbed
        else "not finished"
        if (result := disturbed[key].result) is None
        else "different"
        if differences(expected[key].result or {}, result)
        else "equal"
        for key in expected
    )
    return {
        "trials": len(expected),
        "equal": counts["equal"],
        "different": counts["different"],
        "not finished": counts["not finished"],
        "missing": counts["missing"],
        "extra": len(disturbed.keys() - expected.keys()),
        "conflicts": sum(trial.conflicts for trial in disturbed.values()),
        "attempts": sum(trial.attempts for trial in disturbed.values()),
    }


@contextmanager
def storages(kind: str, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The root of the rounds' storages, and what the environment must hold to find it."""
    if kind == "local":
        yield str(folder / "round"), {}
        return
    with object_store() as environment:
        yield f"s3://{BUCKET}/round", environment


def run(faults: int, seed: int, storage: str) -> dict[str, Any]:
    """All rounds; what was done, and what became of it."""
    rng = random.Random(seed)
    dealt: Counter[str] = Counter()
    rounds = []
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        study, reference = folder / "chaos.yaml", folder / "undisturbed"
        study.write_text(yaml.safe_dump(STUDY))
        root, keys = stack.enter_context(storages(storage, folder))
        environment = marked_environment() | keys
        nodes = Nodes(environment)
        stack.callback(nodes.shutdown)
        environment |= {"RAY_AUTH_MODE": "disabled"}
        undisturbed(study, reference)
        while dealt.total() < faults:
            location = f"{root}-{len(rounds)}"
            current = Round(nodes, study, location, environment)
            while dealt.total() < faults and current.wait_for_workers():
                time.sleep(rng.uniform(*WAIT))
                [kind] = rng.choices([*KINDS], [*KINDS.values()])
                current.deal(kind, rng)
                dealt[kind] += 1
                print(f"{time.monotonic() - began:5.0f} s  {dealt.total():3}  {kind}", flush=True)
            while not current.complete():
                time.sleep(0.5)
            rounds.append(compare(location, reference) | {"launches": current.launches})
            print(*errors(location), sep="\n", end="", flush=True)
    return {"storage": storage, "seed": seed, "faults": dict(dealt), "rounds": rounds}


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it may just have ended by itself
        os.kill(pid, signal.SIGKILL)


def main() -> int:
    """Run it, print a table of faults and outcomes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--faults", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--storage", choices=("local", "s3"), default="local")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    outcome = run(given.faults, given.seed, given.storage)
    rounds = outcome["rounds"]
    table = Table("", "number", box=None)
    for title, part in [
        ("faults", outcome["faults"]),
        *((f"round {number}", counts) for number, counts in enumerate(rounds, 1)),
    ]:
        table.add_row(title, style="bold")
        for name, count in part.items():
            table.add_row(f"  {name}", str(count))
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps(outcome, indent=1))
    exact = all(r["equal"] == r["trials"] and not r["extra"] + r["conflicts"] for r in rounds)
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())

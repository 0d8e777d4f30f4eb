"""What Prometheus gets to see of a launch, by name: docs/clusters.md lists the names."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import pytest
from ray.util.metrics import Metric

from pipelines.cluster.exporter import Exporter
from pipelines.execution.jobs import ArmCounts
from tests.cluster.test_connection import start
from tests.support.ray_nodes import free_port, ray_nodes

DOCS = Path(__file__).parents[2] / "docs" / "clusters.md"
SEEN = re.compile(r'^(ray_untuned_\w+)\{.*\barm="(\w+)".* ([0-9.e+]+)$', re.MULTILINE)


class Queue:
    """Stands as it is told to."""

    finished = False

    def __init__(self, **arms: ArmCounts) -> None:
        self.arms = arms

    def next(self, gpus: float = 0.0, whole: int = 0) -> None: ...

    def ended(self, key: str, lost: Any = None) -> None: ...

    def counts(self) -> Mapping[str, ArmCounts]:
        return self.arms


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, float]]:
    """What Ray is told, in order: name, arm, value."""
    told: list[tuple[str, str, float]] = []

    def record(metric: Any, value: float, tags: dict[str, str]) -> None:
        metric._validate_tags(tags)
        assert tags["study"] == "photos"
        told.append((metric.info["name"].removeprefix("untuned_"), tags["arm"], value))

    monkeypatch.setattr(Metric, "_record", record)
    return told


def tune_trial(arm: str, status: str) -> Any:
    return SimpleNamespace(config={"spec": {"arm": arm}}, status=status)


def test_each_arm_is_told_of_with_its_trials_that_run_and_what_it_has_cost(recorded):
    queue = Queue(ce=ArmCounts(5, 2, 1, 4, 900), gce=ArmCounts(40, 0, 0, 0, 0))
    running = [
        tune_trial(*t) for t in [("ce", "RUNNING"), ("ce", "TERMINATED"), ("gce", "PENDING")]
    ]
    Exporter(queue, "photos").on_step_end(1, running)
    assert recorded == [
        *[("trials_planned", "ce", 5), ("trials_done", "ce", 2), ("trials_failed", "ce", 1)],
        *[("trials_running", "ce", 1), ("attempts", "ce", 4), ("passes", "ce", 900)],
        *[("trials_planned", "gce", 40), ("trials_done", "gce", 0), ("trials_failed", "gce", 0)],
        ("trials_running", "gce", 0),
    ]


def test_what_is_counted_grows_by_what_has_been_added_and_is_told_at_the_end(recorded):
    queue = Queue(ce=ArmCounts(5, 2, 0, 4, 900))
    told = Exporter(queue, "photos")
    told.on_step_end(1, [])
    recorded.clear()
    queue.arms = {"ce": ArmCounts(5, 5, 0, 7, 900)}
    told.on_step_end(2, [])  # so soon after the first
    assert recorded == []
    told.on_experiment_end([])
    assert ("trials_done", "ce", 5) in recorded
    assert [told for told in recorded if told[0] in ("attempts", "passes")] == [
        ("attempts", "ce", 3)
    ]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("aiohttp_cors") is None, reason="needs ray[default], the extra jobs")
def test_the_documented_names_are_scraped_while_a_launch_runs(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("RAY_metrics_report_interval_ms", "1000")
    port, names = free_port(), re.compile(r"^\| `(ray_untuned_\w+)`", re.MULTILINE)
    documented, seen = set(names.findall(DOCS.read_text())), {}
    assert len(documented) == 6
    with ray_nodes(options=[f"--metrics-export-port={port}"]) as nodes:
        storage, more = tmp_path / "study", ["--trials", "400"]  # than it will come to
        launched = start(nodes, storage, *more, "--address", nodes.address)
        deadline = time.monotonic() + 240
        while {name for name, arm in seen if arm == "ce"} != documented:
            assert launched.poll() is None and time.monotonic() < deadline, seen
            time.sleep(0.5)
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as page:
                found = SEEN.findall(page.read().decode())
            seen = {(name, arm): float(value) for name, arm, value in found}
        launched.send_signal(signal.SIGUSR1)
        assert (launched.communicate(timeout=240)[1], launched.returncode) == ("", 138)
    assert seen["ray_untuned_trials_planned", "l2rw"] > 0
    assert seen["ray_untuned_attempts_total", "ce"] >= 1
    assert seen["ray_untuned_passes_total", "ce"] > 0

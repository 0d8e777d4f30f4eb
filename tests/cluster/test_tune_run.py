"""How many trials may wait for a machine of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray.tune.execution.cluster_info import _is_ray_cluster
from ray.tune.execution.tune_controller import _get_max_pending_trials
from ray.tune.search import SearchGenerator

from pipelines.cluster import tune_run
from pipelines.execution.worker_config import Resources


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """How many Tune lets wait of an experiment: with the file of `ray up`, or without."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(tune_run.PENDING, "")  # so that it is as it was, afterwards
    monkeypatch.delenv(tune_run.PENDING)
    told: list[int] = []

    def run(trainable: Any, *, search_alg: Any, **options: Any) -> None:
        told.append(_get_max_pending_trials(SearchGenerator(search_alg)))

    monkeypatch.setattr(tune_run.tune, "run", run)
    monkeypatch.setattr(tune_run.tune, "with_parameters", lambda trainable, **given: trainable)

    def of_a_cluster(grows: bool) -> int:
        if grows:
            (tmp_path / "ray_bootstrap_config.yaml").touch()
        _is_ray_cluster.cache_clear()
        nothing: Any = object()
        queue, stopper = _Quiet(), _Quiet()
        config: Any = _Quiet()
        tune_run.fit(queue, config, Resources(), nothing, stopper, str(tmp_path))
        return told[-1]

    yield of_a_cluster
    _is_ray_cluster.cache_clear()


class _Quiet:
    """Has whatever it is asked for."""

    study = "small"

    def __getattr__(self, name: str) -> Any:
        return None


def test_where_machines_are_started_many_trials_ask_for_one_at_once(waiting):
    assert (waiting(grows=False), waiting(grows=True)) == (1, 64)


def test_what_the_environment_says_of_waiting_trials_counts(waiting, monkeypatch):
    monkeypatch.setenv(tune_run.PENDING, "5")
    assert waiting(grows=True) == 5

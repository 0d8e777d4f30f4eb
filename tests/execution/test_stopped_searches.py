"""Searches whose trials are really stopped early: against whole ones, and killed at any moment."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipelines.analysis.early_stopping import outcome
from pipelines.analysis.stopping import Halving
from pipelines.documents import differences
from pipelines.execution.inline import run_inline
from pipelines.execution.job_queue import JobQueue
from pipelines.execution.worker_config import WorkerConfig
from pipelines.ledger.ledger import Ledger
from pipelines.planning.resume import course_of
from pipelines.report.study_state import load_study_state
from pipelines.study.study_file import Study, parse_study
from tests.conftest import DIGITS
from tests.support.launches import ROOT

EPOCHS = 9
PROTOCOL = DIGITS | {"schedule": {"epochs": EPOCHS, "lr": 0.05}}
REQUEST = {"arms": ["gce", "sce"], "trials": 8, "repeats": 1, "seeds": 1, "curve": False}


def study(**request) -> Study:
    raw = {"name": "small", "protocol": PROTOCOL, "request": REQUEST | request}
    return parse_study(raw, "small.yaml")


def run(storage: Path, asked: Study) -> Ledger:
    """Run all that is missing in this process."""
    ledger = Ledger.open(str(storage))
    document = {"name": asked.name, "hash": "a" * 64, "fingerprint": "data"}
    ledger.create_study(document | {"protocol": asked.protocol.model_dump(mode="json")})
    ledger.write_request({"request": asked.request.model_dump(mode="json"), "arms": {}})
    queue = JobQueue(asked, "a" * 64, ledger)
    config = WorkerConfig(
        storage=str(storage),
        study="small",
        protocols=asked.protocols,
        device="cpu",
        tracking="disabled",
        tracking_dir=str(storage),
        commit=None,
    )
    run_inline(queue, config)
    assert queue.finished
    queue.write_index()
    return ledger


def states(ledger: Ledger) -> dict[str, tuple[str, int]]:
    """By key each trial's state, and its epochs."""
    trials = ledger.trials()
    rows = ledger.histories(trials.values())
    return {key: (trial.state, len(rows[key])) for key, trial in trials.items()}


@pytest.mark.slow
def test_a_real_halving_agrees_with_a_simulated_one_and_grows_without_training_twice(
    tmp_path: Path,
):
    whole, stopped = (
        run(tmp_path / "whole", study()),
        run(tmp_path / "stopped", study(stopping="halving")),
    )
    ended, there = whole.trials(), stopped.trials()
    histories, courses = whole.histories(ended.values()), stopped.histories(there.values())
    for arm in REQUEST["arms"]:
        keys = [
            trial.key
            for trial in sorted(ended.values(), key=lambda t: t.spec["index"])
            if (trial.spec["arm"], trial.spec["role"]) == (arm, "search")
        ]
        val = np.array([course_of(ended[k], histories[k], study().protocol).val for k in keys])
        rungs = np.array([0, 2, 8])
        passes = np.tile(1.0 + rungs, (len(keys), 1))
        scores, spent = outcome(Halving(), val[:, rungs], passes, np.arange(len(keys))[None])
        assert spent.tolist() == [sum(len(courses[key]) for key in keys)]
        for key, score in zip(keys, scores[0], strict=True):
            assert courses[key] == histories[key][: len(courses[key])]
            assert (there[key].state == "completed") == np.isfinite(score)
            if result := there[key].result:
                assert differences(ended[key].result or {}, result) == []
    before = states(stopped)
    grown = states(run(tmp_path / "stopped", study(stopping="halving", trials=26)))
    at_once = states(run(tmp_path / "at_once", study(stopping="halving", trials=26)))
    attempts = stopped.trials()
    assert all(grown[key][1] >= epochs for key, (_, epochs) in before.items())
    assert {k for k in at_once if grown[k] != at_once[k]} <= before.keys()
    finished = [key for key, (state, _) in before.items() if state == "completed"]
    assert [attempts[key].attempts for key in finished] == [there[k].attempts for k in finished]
    results = [
        load_study_state(str(tmp_path / p))[1].results()["arms"] for p in ("stopped", "at_once")
    ]
    for arm in REQUEST["arms"]:
        one, other = (r[arm] for r in results)
        for entry in ("selected", "trials", "stopping", "budget", "tunability", "test"):
            assert one[entry] == other[entry]


def launch(folder: Path, name: str) -> subprocess.Popen[bytes]:
    options = ["--executor", "inline", "--wandb", "disabled", "--checkpoint-seconds", "0"]
    return subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "run_sweep.py"),
            "launch",
            "small.yaml",
            "--storage",
            name,
            *options,
        ],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"HOME": str(folder)},
    )


def outcomes(storage: Path) -> int:
    """Trials that have ended, and stops at rungs."""
    return len(
        [*storage.glob("trials/*/result.json"), *storage.glob("trials/*/attempts/*/stopped.json")]
    )


@pytest.mark.slow
def test_a_halving_that_is_killed_five_times_ends_with_the_same_trials_rungs_and_results(
    tmp_path: Path,
):
    raw = study(stopping="halving").model_dump(mode="json", by_alias=True)
    (tmp_path / "small.yaml").write_text(
        repr(raw).replace("None", "null").replace("False", "false")
    )
    for kills in range(6):
        driver = launch(tmp_path, "killed")
        until = 5 * (kills + 1)
        while kills < 5 and driver.poll() is None and outcomes(tmp_path / "killed") < until:
            time.sleep(0.01)
        if kills < 5:
            driver.send_signal(signal.SIGKILL)
        _, errors = driver.communicate(timeout=400)
    assert driver.returncode == 0, errors
    undisturbed = launch(tmp_path, "undisturbed")
    _, errors = undisturbed.communicate(timeout=400)
    assert undisturbed.returncode == 0, errors
    one, other = (Ledger.open(str(tmp_path / name)) for name in ("killed", "undisturbed"))
    assert states(one) == states(other)
    expected = other.trials()
    for key, trial in one.trials().items():
        result = expected[key].result
        assert trial.result is None or (result and differences(result, trial.result) == [])
    results = [load_study_state(str(tmp_path / n))[1].results() for n in ("killed", "undisturbed")]
    assert differences(*(r | {"cost": 0, "provenance": 0} for r in results)) == []

"""Shared by all tests: one thread, no Ray tokens, no W&B account, nothing written outside of
tmp_path."""

import os

os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ.setdefault("WANDB_MODE", "offline")

import pytest
import torch

from pipelines.study.study_file import Study, parse_study

torch.set_num_threads(1)

DIGITS = {
    "data": {"source": "digits"},
    "noise": {"kind": "flip", "rate": 0.4},
    "splits": {"meta": 50, "val": 50, "test": 1400},
    "model": {"name": "mlp", "options": {"hidden": [16]}},
    "schedule": {"epochs": 3, "lr": 0.05},
}


@pytest.fixture(autouse=True)
def _one_thread():
    """A trial sets the number of threads; no test depends on what the last one left."""
    yield
    torch.set_num_threads(1)


def small_study(arms=("ce", "gce", "l2rw"), **request) -> Study:
    """Digits, cut down to about 300 training examples and three epochs."""
    wanted = {"arms": list(arms), "trials": 2, "repeats": 2, "seeds": 1} | request
    return parse_study({"name": "small", "protocol": DIGITS, "request": wanted}, "small")


def trial_spec(arm: str, study: Study | None = None, **config) -> dict:
    """What `trial` takes, for one arm of the small study."""
    study = study or small_study()
    return {
        "protocol": study.protocol.model_dump(mode="json"),
        "phases": [phase.model_dump() for phase in study.arm(arm).resolve(config)],
        "change": {},
        "data_seed": 1,
        "run_seed": 2,
    }

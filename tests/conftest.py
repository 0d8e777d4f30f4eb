"""Shared by all tests: one thread, no Ray tokens, no W&B account, files in tmp_path only."""

import os
from dataclasses import replace

os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ.setdefault("WANDB_MODE", "offline")

import pytest
import torch
from hypothesis import settings

from pipelines.study.phases import Phase
from pipelines.study.protocol import with_changes
from pipelines.study.study_file import Study, parse_study
from pipelines.study.training_spec import TrainingSpec

torch.set_num_threads(1)

# Generated examples are the same in every run, so that a run passes or fails by the code alone.
# To look for new ones: pytest --hypothesis-profile=default.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

DIGITS = {
    "data": {"source": "digits"},
    "noise": {"kind": "flip", "rate": 0.4},
    "splits": {"meta": 50, "val": 50, "test": 1400},
    "model": {"name": "mlp", "options": {"hidden": [16]}},
    "schedule": {"epochs": 3, "lr": 0.05},
}


ATTACK = {"epsilon": 2 / 255, "steps": 2}
TRAINED_AGAINST_IT = {"pgd_training", "fgsm_training", "robust_self_training"}
TRAINED_AGAINST_IT |= {"free_training", "descent_ascent"}
TRAINED_ON_VECTORS = {"smote"}
TABLE = {"data.source": "tests.support.small_data:digits_table"}
TRAINED_WITHOUT_LABELS = {"self_training", "robust_self_training"}


@pytest.fixture(autouse=True)
def _one_thread():
    """A trial sets the number of threads; no test depends on what the last one left."""
    yield
    torch.set_num_threads(1)


def small_study(arms=("ce", "gce", "l2rw"), **request) -> Study:
    """Digits, cut down to about 300 training examples and three epochs.

    With an attack where an arm trains against it; and some examples lose their label where an arm
    trains on such. As a table where all arms need one.
    """
    hidden = {"unlabelled": 40} if TRAINED_WITHOUT_LABELS & {*arms} else {}
    protocol = DIGITS | {"splits": DIGITS["splits"] | hidden}
    protocol |= {"attack": ATTACK} if TRAINED_AGAINST_IT & {*arms} else {}
    protocol |= {"data": {"source": TABLE["data.source"]}} if {*arms} <= TRAINED_ON_VECTORS else {}
    wanted = {"arms": list(arms), "trials": 2, "repeats": 2, "seeds": 1} | request
    return parse_study({"name": "small", "protocol": protocol, "request": wanted}, "small")


def training_spec(arm: str, study: Study | None = None, **config) -> TrainingSpec:
    """What `run_trial` takes, for one arm of the small study."""
    study = study or small_study()
    phases = tuple(study.arm(arm).resolve(config))
    protocol = study.protocol
    if arm in TRAINED_ON_VECTORS:
        protocol = with_changes(protocol, TABLE)
    return TrainingSpec(protocol, phases, data_seed=1, run_seed=2)


def under(spec: TrainingSpec, changes: dict, group: str = "") -> TrainingSpec:
    """The same under a protocol with entries changed: all of one group, or by address."""
    values = {f"{group}.{name}" if group else name: value for name, value in changes.items()}
    return replace(spec, protocol=with_changes(spec.protocol, values))


def in_phase(spec: TrainingSpec, number: int = 0, **changes) -> TrainingSpec:
    """The same with fields of one phase changed; those of its `meta` are merged."""
    phases = [phase.model_dump() for phase in spec.phases]
    meta = phases[number]["meta"] | changes.pop("meta", {})
    phases[number] |= changes | {"meta": meta}
    return replace(spec, phases=tuple(map(Phase.model_validate, phases)))

"""What tests of recorded steps share: a recorder for the CPU, and a trial to record."""

import pytest
import torch

from pipelines.training import phase
from pipelines.training.fast_paths import ALL_FAST, FastPaths
from pipelines.training.trial import TrainingRun
from tests.conftest import in_phase, small_study, training_spec, under
from tests.support.replay import CpuRecorder

CPU = torch.device("cpu")


PLAIN = FastPaths(cuda_graph=False)


OPTIONS = [
    {"lookahead": "alternating"},
    {"graph": "retain"},
    {"engine": "finite_difference"},
    {"engine": "one_sided_difference", "lookahead": "alternating"},
    {"engine": "double_backward"},
    {"last_layers": 1},
    {"every": 2},
    {"optimizer": "sgd"},
    {"step": "own"},
    {"horizon": 2},
    {"engine": "t1_t2"},
    {"engine": "neumann", "terms": 2},
    {"engine": "conjugate_gradient", "terms": 2, "damping": 0.1},
    {"lookahead_rate": "momentum", "amsgrad": True, "decay": "schedule"},
]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> CpuRecorder:
    found = CpuRecorder()
    monkeypatch.setattr(phase, "recorder_for", lambda device: found)
    return found


def spec_of(arm, **meta):
    """Six epochs of four batches, of two sizes; the learning rate changes at every step."""
    spec = training_spec(arm, small_study([arm]))
    schedule = {"epochs": 6, "batch_size": 80, "decay": "cosine"}
    spec = under(spec, schedule, "schedule")
    for number in range(len(spec.phases)):
        spec = in_phase(spec, number, meta=meta)
    return spec


def run(spec, device=CPU, fast=ALL_FAST):
    """Rows and held-out metrics of the trial, and its steps' recorder."""
    trial = TrainingRun(spec, device, fast)
    list(trial.steps())
    result = trial.result()
    return [trial.history, result["val"], result["held_out"], result["passes"]], trial.training

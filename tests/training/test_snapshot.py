"""A snapshot goes on under another order of memory than it was taken under."""

from itertools import islice

import pytest
import torch

from pipelines.training.fast_paths import FastPaths
from pipelines.training.trial import TrainingRun, run_trial
from tests.conftest import training_spec, under

CPU = torch.device("cpu")


@pytest.mark.parametrize("channels_last", [True, False])
def test_momentum_stays_with_its_weights_in_another_order_of_memory(channels_last: bool):
    change = {"model.name": "cnn", "model.options": {"width": 4}}
    spec = under(training_spec("ce"), change)
    taken = FastPaths(channels_last=channels_last)
    other = FastPaths(channels_last=not channels_last)
    *_, progress = islice(run_trial(spec, fast=taken), 4)
    snapshot = progress.snapshot()
    run = TrainingRun(spec, CPU, other)
    run.load_state_dict(snapshot)
    parameters = list(run.model.parameters())
    moving = run.training.optimizer.state_dict()["state"]
    for number, saved in snapshot["optimizer"]["state"].items():
        momentum = moving[number]["momentum_buffer"]
        assert torch.equal(momentum, saved["momentum_buffer"])
        assert momentum.stride() == parameters[number].stride()
    rest = [step.row["train/loss"] for step in run_trial(spec, snapshot, fast=other) if step.row]
    undisturbed = [row["train/loss"] for row in _history(spec, taken)]
    assert rest == pytest.approx(undisturbed[-len(rest) :], rel=1e-4)


def _history(spec, fast: FastPaths) -> list[dict]:
    return [step.row for step in run_trial(spec, fast=fast) if step.row]

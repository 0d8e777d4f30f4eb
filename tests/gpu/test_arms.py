"""Every arm on a GPU: the CPU's numbers, recorded or not, and nothing that waits for it."""

import warnings

import pytest
import torch

from pipelines.training.fast_paths import ALL_FAST
from pipelines.training.trial import TrainingRun
from tests.support.arms import every_arm
from tests.training.conftest import CPU, PLAIN, run, spec_of
from tests.training.test_cuda_graph import DRAW


def losses(arm, device, fast):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is not replayed
        (history, *_), training = run(spec_of(arm), device, fast)
    return [row["train/loss"] for row in history], training


@every_arm()
@pytest.mark.parametrize("fast", [ALL_FAST, PLAIN], ids=["recorded", "plain"])
def test_its_losses_are_those_of_a_cpu(arm, fast, cuda):
    expected, _ = losses(arm, CPU, PLAIN)
    found, _ = losses(arm, cuda, fast)
    assert found[:2] == pytest.approx(expected[:2], rel=1e-3)  # later, rounding has grown


@every_arm(but=DRAW)
def test_its_steps_are_replayed(arm, cuda):
    _, training = losses(arm, cuda, ALL_FAST)
    assert training.captured_steps.fallback_reason is None and training.captured_steps.replayed > 0


@every_arm(but=DRAW)
def test_no_step_waits_for_the_device(arm, cuda):
    trial = TrainingRun(spec_of(arm), cuda, PLAIN)
    training = trial.training
    training.choices.begin(0)
    steps = list(enumerate(training.epoch_inputs(0)))
    for number, step_inputs in steps[:2]:  # these make the optimizers' state
        training.step(step_inputs, 0, number)
    try:
        torch.cuda.set_sync_debug_mode("error")
        for number, step_inputs in steps[2:]:
            training.step(step_inputs, 0, number)
    finally:
        torch.cuda.set_sync_debug_mode("default")

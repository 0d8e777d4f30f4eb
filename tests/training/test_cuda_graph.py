"""Replayed steps against those taken the plain way: the same numbers, or a reason why not.

On a CPU a stand-in records operators as a CUDA graph records kernels.
"""

import weakref

import pytest
import torch

from pipelines.training import cuda_graph
from pipelines.training.cuda_graph import WARM_UP, deviation
from pipelines.training.trial import TrainingRun
from tests.conftest import under
from tests.support.arms import every_arm
from tests.support.replay import CpuRecorder
from tests.training.conftest import CPU, OPTIONS, PLAIN, run, spec_of


def test_all_is_as_it_was_before_a_recording_and_done_by_its_replay():
    """Of the stand-in itself."""
    total, step = torch.zeros(3), torch.ones(3)
    norm = torch.nn.BatchNorm1d(3)  # changes buffers that its operator's schema does not name
    replay = CpuRecorder().record(lambda: [total.add_(step), norm(torch.rand(4, 3))])
    assert total.tolist() == [0, 0, 0] and norm.running_mean.tolist() == [0, 0, 0]
    step.fill_(5)
    replay()
    assert total.tolist() == [5, 5, 5] and norm.running_mean.abs().sum() > 0


DRAW = (
    "random_weights",
    "mixup",
    "maxup",
    "pgd_training",
    "fgsm_training",
    "smote",
    "gaussian_noise",
)


@pytest.mark.parametrize("arm", DRAW)
def test_what_draws_from_the_key_of_its_step_runs_the_plain_way_and_says_so(arm, recorder):
    expected, _ = run(spec_of(arm), fast=PLAIN)
    with pytest.warns(UserWarning, match=r"its method reads batch\.key"):
        found, _ = run(spec_of(arm))
    assert found == expected


@every_arm(but=DRAW)
def test_a_replayed_trial_is_the_plain_one(arm, recorder):
    expected, _ = run(spec_of(arm), fast=PLAIN)
    found, training = run(spec_of(arm))
    assert training.captured_steps.fallback_reason is None and training.captured_steps.replayed > 0
    assert found == expected


@pytest.mark.parametrize("meta", OPTIONS)
def test_so_it_is_in_every_way_to_meta_learn(meta, recorder):
    expected, _ = run(spec_of("mw_net", **meta), fast=PLAIN)
    found, training = run(spec_of("mw_net", **meta))
    assert training.captured_steps.fallback_reason is None and training.captured_steps.replayed > 2
    assert found == expected


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_so_it_is_with_convolutions_crops_clipping_and_nesterov(precision, recorder):
    spec = spec_of("l2rw")
    spec = under(spec, {"model": {"name": "cnn"}, "augment": "crop_flip", "precision": precision})
    spec = under(spec, {"clip": 1.0, "nesterov": True, "epochs": 3}, "schedule")
    (expected, *_), _ = run(spec, fast=PLAIN)
    (found, *_), training = run(spec)
    assert training.captured_steps.replayed > 0
    for row, plain in zip(found, expected, strict=True):  # convolutions round by where memory lies
        close = 1e-3 if precision == "float32" else 0.02
        assert row["train/loss"] == pytest.approx(plain["train/loss"], rel=close)


def test_a_trial_that_goes_on_records_anew(recorder):
    expected, _ = run(spec_of("mw_net"), fast=PLAIN)
    first = TrainingRun(spec_of("mw_net"), CPU)
    state = [progress.snapshot for progress, _ in zip(first.steps(), range(11), strict=False)][-1]()
    second = TrainingRun(spec_of("mw_net"), CPU)
    second.load_state_dict(state)
    list(second.steps())
    assert first.training.captured_steps.replayed > 0 < second.training.captured_steps.replayed
    assert second.history == expected[0]


def test_a_replay_of_a_frozen_draw_is_far_off():
    state = {"model": [torch.zeros(2)], "none": []}
    plain, other = {"model": [torch.tensor([3.0, 4.0])]}, {"model": [torch.tensor([3.0, 4.5])]}
    assert deviation(state, plain | {"none": []}, other | {"none": []}) == pytest.approx(0.1)


def test_the_result_says_how_many_steps_of_all_phases_were_replays(recorder):
    trial = TrainingRun(spec_of("finetune"), CPU)
    list(trial.steps())
    cost = trial.result()["cost"]
    assert cost["steps_replayed"] > trial.training.captured_steps.replayed > 0
    assert cost["not_replayed"] is None


def test_nothing_keeps_a_trial_in_memory(recorder):
    trial = TrainingRun(spec_of("l2rw"), CPU)
    list(trial.steps())
    training = weakref.ref(trial.training)
    del trial
    assert training() is None


def test_each_kind_of_step_is_first_taken_plainly(recorder, monkeypatch):
    step_output = []
    original = cuda_graph.CapturedSteps._watched

    def watched(self, steps, step_inputs, key, meta):
        step_output.append((len(step_inputs.rows), meta))
        return original(self, steps, step_inputs, key, meta)

    monkeypatch.setattr(cuda_graph.CapturedSteps, "_watched", watched)
    run(spec_of("mw_net", every=2))
    assert {kind: step_output.count(kind) for kind in step_output} == {
        kind: WARM_UP for kind in [(75, True), (74, True), (74, False)]
    }

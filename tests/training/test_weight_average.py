"""The moving average of a phase's weights: what it is, and who sees it."""

import io

import pytest
import torch
from torch import nn

from pipelines.models.classifier import load_model
from pipelines.training.artifacts import artifacts
from pipelines.training.trial import TrainingRun, run_trial
from pipelines.training.weight_average import WeightAverage
from pipelines.trial_documents import MODEL
from tests.conftest import in_phase, training_spec, under
from tests.support.trials import run_to_end
from tests.training.conftest import CPU, PLAIN, run, spec_of


def values_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_it_is_the_mean_of_the_first_steps_and_then_moves_by_what_the_decay_leaves():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double()
    average, seen = WeightAverage(model, 0.75), []
    for _ in range(6):
        with torch.no_grad():
            model[0].weight.normal_()
        model(torch.randn(5, 3, dtype=torch.float64))
        average.after_step()
        seen.append(values_of(model))
    for name in ("0.weight", "1.running_mean"):
        expected = torch.stack([s[name] for s in seen[:4]]).mean(dim=0)  # 1 / t until t = 4
        for later in seen[4:]:
            expected = 0.75 * expected + 0.25 * later[name]
        torch.testing.assert_close(average.weights[name], expected)
    assert average.weights["1.num_batches_tracked"] == 6


def test_the_model_has_its_own_weights_again_afterwards():
    model = nn.Linear(3, 2)
    average, before = WeightAverage(model, 0.9), values_of(model)
    with torch.no_grad():
        model.weight.add_(1)
    own, places = values_of(model), [p.data_ptr() for p in model.parameters()]
    with average.in_place():
        assert torch.equal(model.weight, before["weight"])
    assert torch.equal(model.weight, own["weight"])
    assert [p.data_ptr() for p in model.parameters()] == places  # of a recorded step


def spec(arm="ce", ema: float | None = 0.9, **changes):
    found = in_phase(training_spec(arm), ema=ema)
    return under(found, changes) if changes else found


def test_evaluation_selection_and_export_see_the_average():
    finished = TrainingRun(spec(), CPU)
    list(finished.steps())
    result, state = finished.result(), finished.state_dict()
    average = finished.training.average
    assert average
    own = values_of(finished.model)
    assert not torch.equal(own["1.weight"], average.weights["1.weight"])
    assert torch.equal(state["model"]["1.weight"], own["1.weight"])
    average.adopt()
    x = finished.task.normalise(finished.task.test.x)
    hits = (finished.model(x).argmax(1) == finished.task.test.y).double().mean().item()
    assert result["held_out"]["last"]["accuracy"] == pytest.approx(hits)
    saved = load_model(io.BytesIO(artifacts(spec(), state)[MODEL]))
    for name, tensor in saved.network.state_dict().items():
        assert torch.equal(tensor, average.weights[name])


def test_the_selected_epochs_weights_are_its_average():
    chosen = spec(epoch="selected", **{"schedule.epochs": 4})
    finished = TrainingRun(chosen, CPU)
    list(finished.steps())
    best = finished.evaluator.best
    assert best
    finished.model.load_state_dict(best["model"])
    x = finished.task.normalise(finished.task.val.x)
    hits = (finished.model(x).argmax(1) == finished.task.val.y).double().mean().item()
    assert best["score"] == pytest.approx(hits)


def test_training_is_what_it_was_without_and_costs_no_passes():
    events = [list(run_trial(spec(ema=ema))) for ema in (None, 0.9)]
    plain, averaged = (series[-1].snapshot() for series in events)
    for name, tensor in plain["model"].items():
        assert torch.equal(tensor, averaged["model"][name])
    assert plain["passes"] == averaged["passes"]
    assert plain["history"][-1]["val/nll"] != averaged["history"][-1]["val/nll"]


def test_an_average_of_one_step_is_the_model():
    """The decay's limit, and the negative control of the tests above."""
    rows = [run_to_end(spec(ema=ema))[0] for ema in (None, 1e-9)]
    for plain, averaged in zip(*rows, strict=True):
        assert averaged["val/nll"] == pytest.approx(plain["val/nll"], rel=1e-5)


def test_the_next_phase_goes_on_from_the_average():
    run_ = TrainingRun(spec("finetune"), CPU)
    steps = run_.steps()
    while run_.epoch < run_.lengths[0]:
        next(steps)
    average = run_.training.average
    assert average
    before = {name: t.clone() for name, t in average.weights.items()}
    run_.next_phase()
    for name, tensor in run_.model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert run_.training.average is None


def test_steps_with_an_average_are_replayed(recorder):
    averaged = in_phase(spec_of("ce"), ema=0.9)
    found, training = run(averaged)
    assert training.captured_steps.fallback_reason is None and training.captured_steps.replayed > 5
    assert found == run(averaged, fast=PLAIN)[0]

"""Groups of parameters, by rate and by decay: the step, and the look-ahead that goes like it."""

from itertools import islice

import pytest
import torch

from pipelines.errors import UserError
from pipelines.hypergradient.update_rules import UpdateRule
from pipelines.training.trial import TrainingRun, run_trial
from tests.conftest import in_phase, small_study, training_spec, under
from tests.support.trials import comparable, run_to_end, through_a_file

CPU = torch.device("cpu")


def spec_of(arm, decay=0.5, schedule=None, **meta):
    model = {
        "name": "pretrained",
        "options": {"own": "tests.models.test_pretrained:small", "layer_decay": decay},
    }
    spec = under(training_spec(arm, small_study([arm])), {"data.normalise": "none", "model": model})
    spec = under(spec, {"epochs": 1, "momentum": 0.9} | (schedule or {}), "schedule")
    return in_phase(spec, meta=meta)


def moves(spec):
    """How far each parameter has gone in the first step, by name."""
    run = TrainingRun(spec, CPU)
    before = {n: p.detach().clone() for n, p in run.model.named_parameters()}
    next(run.steps())
    return {n: p.detach() - before[n] for n, p in run.model.named_parameters()}


@pytest.mark.parametrize(
    "schedule",
    [
        {"clip": 0.5},
        {"optimizer": "adamw", "lr": 0.01, "weight_decay": 0.1, "momentum": 0.0},
        {"optimizer": "torch.optim:RMSprop", "lr": 0.01},
    ],
)
def test_a_step_is_as_long_as_the_layers_rate(schedule):
    schedule = {"momentum": 0.9, **schedule}
    plain, decayed = (moves(spec_of("ce", decay, schedule)) for decay in (1.0, 0.5))
    for name, depth in (("stem.weight", 4), ("blocks.1.conv.weight", 2), ("head.weight", 0)):
        expected = 0.5**depth * plain[f"network.{name}"]
        torch.testing.assert_close(decayed[f"network.{name}"], expected, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("layer_decay", "schedule"),
    [
        (1.0, {"momentum": 0.9, "nesterov": True}),
        (1.0, {"decay": "hypergradient", "hypergradient_lr": 1e-3}),
        (0.5, {"optimizer": "adamw", "lr": 0.01, "momentum": 0.0}),
        (0.5, {"optimizer": "torch.optim:RMSprop", "lr": 0.01}),
    ],
)
def test_norms_and_biases_have_no_decay(layer_decay, schedule):
    """They go as far as without one, and all others as far as with it."""
    spec = spec_of("ce", layer_decay, schedule | {"weight_decay": 0.5})
    found = moves(under(spec, {"no_decay": "norm_and_bias"}, "schedule"))
    with_it, without = moves(spec), moves(under(spec, {"weight_decay": 0.0}, "schedule"))
    for name, move in found.items():
        assert torch.equal(move, (without if move.dim() < 2 else with_it)[name]), name
    assert not torch.equal(with_it["network.stem.weight"], without["network.stem.weight"])
    assert not torch.equal(with_it["network.stem.bias"], without["network.stem.bias"])


def gradients(spec, engine):
    """Hypergradients of the first step."""
    run = TrainingRun(in_phase(spec, meta={"engine": engine}), CPU)
    training = run.training
    inputs = training.epoch_inputs(0)[0]
    training.network.step_key = (2, 0, 0, 0)
    batch = training.batches.training(inputs, ())
    clean = training.batches.clean_loss(inputs, ())
    step = training.descent.look_ahead(training.phase.meta, torch.tensor(0.05))
    assert isinstance(step, UpdateRule)
    return training.meta.gradients(batch, clean, step)


@pytest.mark.parametrize("step", ["plain", "own"])
@pytest.mark.parametrize("arm", ["mw_net", "gce_learned"])
def test_the_look_ahead_goes_by_the_layers_rates(arm, step):
    """Forward mode against double backward; and other rates give other gradients."""
    spec = spec_of(arm, step=step)
    forward, exact = (gradients(spec, engine) for engine in ("forward", "double_backward"))
    for one, other in zip(forward, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-7)
    less = gradients(spec_of(arm, 0.9, step=step), "double_backward")
    assert not torch.allclose(less[0], exact[0], rtol=1e-2)


@pytest.mark.parametrize("schedule", [{"momentum": 0.9}, {"optimizer": "adamw", "lr": 0.01}])
def test_the_look_ahead_goes_by_what_is_not_decayed(schedule):
    """Forward mode against double backward; and with all decayed it is another."""
    schedule = schedule | {"weight_decay": 0.9, "lr": 0.5}
    of_all = spec_of("mw_net", schedule=schedule, step="own")
    spec = under(of_all, {"no_decay": "norm_and_bias"}, "schedule")
    forward, exact = (gradients(spec, engine) for engine in ("forward", "double_backward"))
    for one, other in zip(forward, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-7)
    other = gradients(of_all, "double_backward")
    assert not torch.allclose(other[0], exact[0], rtol=1e-3)


@pytest.mark.parametrize("no_decay", ["none", "norm_and_bias"])
@pytest.mark.parametrize(("arm", "meta"), [("l2rw", {}), ("mw_net", {"lookahead": "alternating"})])
def test_a_fine_tuned_network_resumes_exactly(arm, meta, no_decay):
    spec = spec_of(arm, schedule={"no_decay": no_decay}, **meta)
    rows, result = run_to_end(spec)
    events = list(islice(run_trial(spec), 2))
    more, again = run_to_end(spec, through_a_file(events[-1].snapshot()))
    assert comparable(again) == comparable(result) and more == rows[-len(more) :]


def test_a_rate_that_learns_itself_is_one_for_all_layers():
    with pytest.raises(UserError, match="learns one rate for all layers"):
        TrainingRun(spec_of("ce", schedule={"decay": "hypergradient"}), CPU)

"""Penalties of the model's parameters, and what of the step learns itself; in float64."""

import pytest
import torch
from torch import nn

from methods.losses.scale_shift_invariant import ScaleShiftInvariant
from methods.meta.learned_step import LearnedStep
from methods.objective import Outputs, cross_entropy
from pipelines.hypergradient.engines import clean_gradient, look_ahead
from tests.conftest import small_study, training_spec, under
from tests.hypergradient.one_step import ALPHA, OneStep, relative_error
from tests.hypergradient.test_update_rules import OPTIMIZERS, rule_on
from tests.support.trials import run_to_end

LEARNED = {
    "rate and decay": lambda: LearnedStep(0.7, 1e-2, learn_rate=True, learn_decay=True),
    "decay": lambda: LearnedStep(decay=1e-2, learn_decay=True),
    "scale shift": lambda: ScaleShiftInvariant(1e-3, learn=True),
}


def slope_of(bounded):
    """d value / d raw."""
    return torch.autograd.grad(bounded(), bounded.raw)[0]


def test_rate_and_decay_have_their_closed_forms():
    """-alpha <g, dCE + decay theta> and -alpha rate <g, theta>, g behind the look-ahead."""
    objective = LearnedStep(0.7, 1e-2, learn_rate=True, learn_decay=True)
    one_step = OneStep(objective)
    theta = one_step.theta
    taken, _ = look_ahead(one_step.problem, theta, ALPHA)
    g = clean_gradient(one_step.problem, taken.theta)
    logits = one_step.problem.outputs(theta)[0]
    loss = cross_entropy(logits, one_step.batch.y).mean()
    slopes = torch.autograd.grad(loss, [*theta.values()])
    s, w = objective.rate().item(), objective.decay().item()  # as float32 has them
    rate = -ALPHA * sum(
        (g[n] * (c + w * p)).sum() for (n, p), c in zip(theta.items(), slopes, strict=True)
    )
    decay = -ALPHA * s * sum((g[n] * p).sum() for n, p in theta.items())
    expected = torch.stack([rate * slope_of(objective.rate), decay * slope_of(objective.decay)])
    assert relative_error(one_step.hypergradient(), expected.detach()) < 1e-10


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("rule", [None, *OPTIMIZERS])
def test_what_a_penalty_learns_equals_double_backward(name, rule):
    one_step = OneStep(LEARNED[name]())
    step = rule_on(one_step.theta, rule) if rule else ALPHA
    expected = one_step.hypergradient("double_backward", step)
    assert expected.norm() > 0
    assert relative_error(one_step.hypergradient("forward", step), expected) < 1e-10


def test_at_rate_1_it_is_sgd_with_weight_decay():
    """The same parameters after a trial, to rounding."""
    study = small_study(["ce", "wd_learned"])
    decayed = under(training_spec("ce", study), {"weight_decay": 0.01}, "schedule")
    fixed = training_spec("wd_learned", study, decay=0.01, learn_decay=False)
    for one, other in zip(run_to_end(decayed)[0], run_to_end(fixed)[0], strict=True):
        assert one["train/loss"] == pytest.approx(other["train/loss"], rel=1e-4)
        assert one["val/accuracy"] == other["val/accuracy"]


@pytest.mark.parametrize(("arm", "name"), [("lr_learned", "rate"), ("wd_learned", "decay")])
def test_what_is_learned_moves_and_is_shown(arm, name):
    rows, result = run_to_end(training_spec(arm, small_study([arm])))
    start = {"rate": 1.0, "decay": 5e-4}[name]
    assert result["learned"].keys() == {f"learned/{name}"}
    assert rows[-1][f"learned/{name}"] != pytest.approx(start, rel=1e-6)


def relu_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 3))


def test_a_shift_of_scales_changes_neither_outputs_nor_the_penalty_but_weight_decay():
    net, x = relu_net().double(), torch.randn(4, 5).double()
    method = ScaleShiftInvariant(0.1)

    def state():
        parameters = dict(net.named_parameters())
        squares = sum(p.square().sum() for p in parameters.values())
        return net(x), method.penalty(parameters), squares

    before = [t.detach().clone() for t in state()]
    with torch.no_grad():
        for p in net[0].parameters():
            p.mul_(3)
        net[2].weight.div_(3)
    outputs, penalty, squares = state()
    torch.testing.assert_close((outputs, penalty), tuple(before[:2]))
    assert squares > 1.1 * before[2]


def test_its_slope_is_that_of_a_product_and_it_bounds_the_slope_of_the_outputs():
    net, x = relu_net().double(), torch.randn(5).double()
    weights = [p for p in net.parameters() if p.dim() == 2]
    penalty = ScaleShiftInvariant(1.0).penalty(dict(net.named_parameters()))
    slopes = torch.autograd.grad(penalty, weights)
    for w, slope in zip(weights, slopes, strict=True):
        torch.testing.assert_close(slope, penalty.detach() * w / w.square().sum())
    jacobian = torch.autograd.functional.jacobian(net, x)
    assert torch.linalg.matrix_norm(jacobian) <= penalty


def test_without_a_penalty_it_is_cross_entropy():
    one_step = OneStep(LearnedStep(decay=1e-2, learn_decay=True))
    logits = torch.randn(12, 4).double()
    expected = cross_entropy(logits, one_step.batch.y)
    for method in (ScaleShiftInvariant(0.0), LearnedStep()):
        assert torch.equal(method(Outputs(logits), one_step.batch), expected)

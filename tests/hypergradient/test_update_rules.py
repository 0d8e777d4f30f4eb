"""Look-aheads that are an optimizer's own step: against the optimizer, and double backward."""

import pytest
import torch

from methods.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from methods.meta.learning_to_reweight import LearningToReweight
from methods.meta.meta_weight_net import MetaWeightNet
from pipelines.errors import UserError
from pipelines.hypergradient.engines import look_ahead
from pipelines.hypergradient.rule_check import check_rule
from pipelines.hypergradient.update_rules import UpdateRule, linearised
from tests.hypergradient.one_step import OneStep, relative_error
from tests.hypergradient.own_optimizers import Closure, Cubic, Misled, OnData, SignStep

RATE = 0.05
SGD, ADAMW = torch.optim.SGD, torch.optim.AdamW
#: class, options, clip
OPTIMIZERS = {
    "sgd": (SGD, {}, None),
    "momentum": (SGD, {"momentum": 0.9, "weight_decay": 5e-3}, None),
    "nesterov": (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-3}, None),
    "clipped": (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-3}, 0.1),
    "adamw": (ADAMW, {"weight_decay": 1e-2}, None),
    "adamw, clipped": (ADAMW, {"weight_decay": 1e-2, "betas": (0.8, 0.95)}, 0.1),
    "rmsprop": (torch.optim.RMSprop, {"momentum": 0.5}, None),
    "adagrad": (torch.optim.Adagrad, {"weight_decay": 5e-3}, None),
    "own": (Cubic, {"rho": 0.7}, None),
    "own, clipped": (Cubic, {"rho": 0.7}, 0.1),
    "sgd, in groups": (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.5}, None),
    "adamw, in groups": (ADAMW, {"weight_decay": 0.5}, 0.1),
    "adagrad, in groups": (torch.optim.Adagrad, {"weight_decay": 0.5}, None),
}
optimizers = pytest.mark.parametrize("name", OPTIMIZERS)
OBJECTIVES = {
    "l2rw": LearningToReweight,
    "mw_net": MetaWeightNet,
    "gce": lambda: GeneralizedCrossEntropy(0.6, learn=True),
}


def rule_on(theta, name, steps=2):
    """The rule of an optimizer that has taken some steps along random gradients."""
    kind, options, clip = OPTIMIZERS[name]
    groups = [{"params": [p for p in theta.values() if p.dim() > 1]}]
    groups += [{"params": [p for p in theta.values() if p.dim() < 2], "weight_decay": 0.0}]
    optimizer = kind(groups if "groups" in name else theta.values(), lr=RATE, **options)
    gen = torch.Generator().manual_seed(3)
    for _ in range(steps):
        for p in theta.values():
            p.grad = 0.1 * torch.randn(p.shape, generator=gen, dtype=p.dtype)
        optimizer.step()
        optimizer.zero_grad()
    return UpdateRule(optimizer, theta, RATE, clip)


def random_grads(theta):
    gen = torch.Generator().manual_seed(4)
    return {n: torch.randn(p.shape, generator=gen, dtype=p.dtype) for n, p in theta.items()}


@optimizers
@pytest.mark.parametrize("steps", [0, 3])
def test_a_rule_takes_the_step_that_the_optimizer_takes(name, steps):
    theta = OneStep(MetaWeightNet()).theta
    rule, grads = rule_on(theta, name, steps), random_grads(theta)
    found, later = rule.step(theta, grads, rule.state())
    for n, p in theta.items():
        p.grad = grads[n].clone()
    if rule.clip:
        torch.nn.utils.clip_grad_norm_(theta.values(), rule.clip)
    rule.optimizer.step()
    for n, p in theta.items():
        torch.testing.assert_close(found[n], p, rtol=1e-12, atol=1e-12)
    for n, remembered in rule.state().items():
        for key, value in remembered.items():
            now = torch.as_tensor(later[n][key]).to(value)
            torch.testing.assert_close(now, value, rtol=1e-10, atol=1e-12)


@optimizers
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_hypergradient_through_it_equals_double_backward(name, objective):
    one_step = OneStep(OBJECTIVES[objective]())
    rule = rule_on(one_step.theta, name)
    expected = one_step.hypergradient("double_backward", rule)
    assert expected.norm() > 0
    assert relative_error(one_step.hypergradient("forward", rule), expected) < 1e-10


@optimizers
def test_double_backward_through_it_is_the_slope_of_the_clean_loss_behind_the_real_step(name):
    """Of the optimizer's own code, to whose copies each step is put."""
    one_step = OneStep(GeneralizedCrossEntropy(0.6, learn=True))
    rule = rule_on(one_step.theta, name)
    [raw] = one_step.phi

    def clean_after(size):
        with torch.no_grad():
            raw.add_(size)
        taken, _ = look_ahead(one_step.problem, one_step.theta, rule)
        with torch.no_grad():
            raw.sub_(size)
        return one_step.problem.clean(taken.theta).item()

    slope = (clean_after(1e-4) - clean_after(-1e-4)) / 2e-4
    found = one_step.hypergradient("double_backward", rule).item()
    assert found == pytest.approx(slope, rel=1e-3)


@optimizers
def test_a_step_that_was_taken_is_pulled_back_to_where_it_began(name):
    one_step = OneStep(MetaWeightNet())
    rule = rule_on(one_step.theta, name)
    taken, _ = look_ahead(one_step.problem, one_step.theta, rule)
    found = one_step.hypergradient("forward", rule, taken)
    assert relative_error(found, one_step.hypergradient("double_backward", rule)) < 1e-10


def test_a_rule_changes_neither_the_optimizer_nor_the_model():
    one_step = OneStep(MetaWeightNet())
    for name in OPTIMIZERS:
        rule = rule_on(one_step.theta, name)
        state = [t.clone() for s in rule.state().values() for t in s.values()]
        values = [p.detach().clone() for p in one_step.theta.values()]
        one_step.hypergradient("forward", rule)
        assert all(map(torch.equal, values, one_step.theta.values()))
        assert all(map(torch.equal, state, (t for s in rule.state().values() for t in s.values())))
        assert all(p.grad is None for p in one_step.theta.values())


def test_the_derivative_of_adamw_has_its_closed_form():
    theta = OneStep(MetaWeightNet()).theta
    rule, grads = rule_on(theta, "adamw"), random_grads(theta)
    v = linearised(rule, theta, grads).pull_back({n: torch.ones_like(p) for n, p in theta.items()})
    state = rule.state()
    for n, g in grads.items():
        m = 0.9 * state[n]["exp_avg"] + 0.1 * g
        s = 0.999 * state[n]["exp_avg_sq"] + 0.001 * g**2
        root, eps = (s / (1 - 0.999**3)).sqrt(), 1e-8
        bias = 1 - 0.9**3
        inner = 0.001 * g / ((1 - 0.999**3) * root)
        expected = -RATE / bias * (0.1 / (root + eps) - m * inner / (root + eps) ** 2)
        torch.testing.assert_close(v[n], expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", ["adamw", "rmsprop"])
def test_a_parameter_that_never_had_a_gradient_has_a_derivative(name):
    """Behind a pixel that is always black: its moment is 0, and the root of 0 has no slope."""
    one_step = OneStep(MetaWeightNet())
    one_step.batch.x.zero_()
    rule = rule_on(one_step.theta, name, steps=0)
    found = one_step.hypergradient("forward", rule)
    assert found.isfinite().all() and found.norm() > 0


REFUSED = {
    SignStep: "no derivative but zero in the gradient (it may go by its sign)",
    OnData: "leaves no graph",
    Misled: "is not what autograd finds",
    Closure: "cannot take a step",
    torch.optim.Rprop: "derivative",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_rule_without_a_derivative_is_refused_by_name(kind):
    theta = OneStep(MetaWeightNet()).theta
    with pytest.raises(UserError) as refusal:
        check_rule(UpdateRule(kind(theta.values(), lr=RATE), theta, RATE))
    assert kind.__name__ in str(refusal.value) and REFUSED[kind] in str(refusal.value)


@pytest.mark.parametrize(
    "kind",
    [
        SGD,
        ADAMW,
        Cubic,
        *(getattr(torch.optim, n) for n in ("Adagrad", "RAdam", "NAdam", "Adamax")),
    ],
)
def test_a_rule_with_a_derivative_is_not_refused(kind):
    theta = OneStep(MetaWeightNet()).theta
    check_rule(UpdateRule(kind(theta.values(), lr=RATE), theta, RATE))

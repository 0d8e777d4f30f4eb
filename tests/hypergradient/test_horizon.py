"""Hypergradients through several look-ahead steps, in float64."""

from dataclasses import replace

import pytest
import torch

from methods.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from methods.meta.learned_step import LearnedStep
from methods.meta.meta_weight_net import MetaWeightNet
from pipelines.hypergradient.engines import Problem
from pipelines.hypergradient.horizon import hypergradient_over
from tests.hypergradient.one_step import ALPHA, OneStep, relative_error
from tests.hypergradient.test_update_rules import rule_on

OBJECTIVES = {
    "mw_net": MetaWeightNet,
    "gce": lambda: GeneralizedCrossEntropy(0.6, learn=True),
    "penalty": lambda: LearnedStep(0.7, 1e-2, learn_rate=True, learn_decay=True),
}
RULES = ["plain", "sgd", "momentum", "nesterov", "clipped", "adamw", "adamw, clipped"]


def flat(parts):
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize("k", [1, 2, 5])
def test_a_quadratic_has_its_closed_form(k):
    """L = phi a theta^2 / 2, clean = (theta - b)^2 / 2: theta_k = (1 - alpha phi a)^k theta."""
    a, b, alpha = 2.0, 0.3, 0.1
    theta = torch.tensor([1.5], dtype=torch.double, requires_grad=True)
    phi = torch.tensor([0.8], dtype=torch.double, requires_grad=True)
    problem = Problem(
        outputs=lambda theta: (theta["w"],),
        losses=lambda z: phi * a * z[0].square() / 2,
        clean=lambda theta: (theta["w"] - b).square().sum() / 2,
    )
    shrink = 1 - alpha * 0.8 * a
    expected = (shrink**k * 1.5 - b) * k * shrink ** (k - 1) * -alpha * a * 1.5
    [found] = hypergradient_over([problem] * k, {"w": theta}, [phi], alpha)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def problems_of(one_step, k):
    """The same network and objective, on batches that differ."""
    first, batch = one_step.problem, one_step.batch
    shifted = [
        replace(first, outputs=lambda theta, j=j: (one_step.at(theta, batch.x.roll(j, 2)),))
        for j in range(1, k)
    ]
    return [first, *shifted]


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("k", [2, 4])
def test_it_equals_double_backward_on_a_batch_norm_network(name, rule, k):
    one_step = OneStep(OBJECTIVES[name]())
    step = ALPHA if rule == "plain" else rule_on(one_step.theta, rule)
    problems = problems_of(one_step, k)
    expected, found = (
        flat(hypergradient_over(problems, one_step.theta, one_step.phi, step, engine))
        for engine in ("double_backward", "forward")
    )
    assert expected.norm() > 0 and relative_error(found, expected) < 1e-10
    once = flat(hypergradient_over(problems[:1], one_step.theta, one_step.phi, step))
    assert relative_error(once, expected) > 1e-3


@pytest.mark.parametrize("rule", RULES)
def test_a_horizon_of_one_step_is_the_engine_itself(rule):
    one_step = OneStep(MetaWeightNet())
    step = ALPHA if rule == "plain" else rule_on(one_step.theta, rule)
    found = flat(hypergradient_over([one_step.problem], one_step.theta, one_step.phi, step))
    assert relative_error(found, one_step.hypergradient("forward", step)) < 1e-12

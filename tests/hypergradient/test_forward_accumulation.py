"""Forward accumulation: closed form, the reference, and memory that does not grow with the horizon.

Under every optimizer, look-ahead and kind of outputs: tests/training/test_every_hypergradient.py.
"""

import pytest
import torch

from benchmarks.timing import peak_bytes
from methods.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from methods.losses.symmetric_cross_entropy import SymmetricCrossEntropy
from methods.meta.learned_step import LearnedStep
from methods.meta.learning_to_reweight import LearningToReweight
from methods.meta.meta_weight_net import MetaWeightNet
from pipelines.errors import UserError
from pipelines.hypergradient.engines import Problem
from pipelines.hypergradient.forward_accumulation import forward_accumulation
from pipelines.hypergradient.horizon import hypergradient_over
from pipelines.hypergradient.meta_step import MetaLearner
from pipelines.models.network import Network
from pipelines.study.phases import Meta
from tests.hypergradient.one_step import ALPHA, OneStep, batch_norm_net, relative_error
from tests.hypergradient.test_horizon import RULES, flat, problems_of
from tests.hypergradient.test_update_rules import rule_on

OBJECTIVES = {
    "gce": lambda: GeneralizedCrossEntropy(0.6, learn=True),
    "sce": lambda: SymmetricCrossEntropy(0.5, 1.0, learn=True),
    "penalty": lambda: LearnedStep(0.7, 1e-2, learn_rate=True, learn_decay=True),
}


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
    [found] = forward_accumulation([problem] * k, {"w": theta}, [phi], alpha)
    assert found.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("k", [1, 4])
def test_it_equals_double_backward_on_a_batch_norm_network(name, rule, k):
    one_step = OneStep(OBJECTIVES[name]())
    step = ALPHA if rule == "plain" else rule_on(one_step.theta, rule)
    problems = problems_of(one_step, k)
    expected = flat(
        hypergradient_over(problems, one_step.theta, one_step.phi, step, "double_backward")
    )
    found = flat(forward_accumulation(problems, one_step.theta, one_step.phi, step))
    assert expected.norm() > 0 and relative_error(found, expected) < 1e-10


def test_what_the_loss_does_not_depend_on_has_a_hypergradient_of_zero():
    one_step = OneStep(GeneralizedCrossEntropy(0.6, learn=True))
    idle = torch.zeros(2, dtype=torch.double, requires_grad=True)
    problems, phi = problems_of(one_step, 2), [*one_step.phi, idle]
    found, nothing = forward_accumulation(problems, one_step.theta, phi, ALPHA)
    assert found.item() and nothing.tolist() == [0, 0]


@pytest.mark.slow  # the profiler's first start takes seconds
def test_more_steps_need_no_more_memory():
    one_step = OneStep(GeneralizedCrossEntropy(0.6, learn=True))
    theta, phi, cpu = one_step.theta, one_step.phi, torch.device("cpu")
    peaks = {}
    for k in (3, 12):
        problems = problems_of(one_step, k)
        for how in (forward_accumulation, hypergradient_over):
            how(problems, theta, phi, ALPHA)
            peaks[how, k] = peak_bytes(lambda: how(problems, theta, phi, ALPHA), cpu)  # noqa: B023
    model = sum(p.nbytes for p in theta.values())
    growing = {how: peaks[how, 12] - peaks[how, 3] for how, _ in peaks}
    assert growing[forward_accumulation] < model < growing[hypergradient_over]


@pytest.mark.parametrize(
    ("objective", "message"),
    [(MetaWeightNet, "8 at most, MetaWeightNet has 301"), (LearningToReweight, "for each example")],
)
def test_many_numbers_are_refused(objective, message):
    with pytest.raises(UserError, match=message):
        MetaLearner(objective(), Network(batch_norm_net()), Meta(engine="forward_accumulation"))

"""Losses against their formulas and closed-form weights; every method through generic checks."""

import math

import pytest
import torch
from torch.nn import functional as F

from methods.losses.cross_entropy import CrossEntropy
from methods.losses.focal import Focal
from methods.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from methods.losses.symmetric_cross_entropy import SymmetricCrossEntropy
from methods.meta.learning_to_reweight import LearningToReweight
from methods.meta.meta_weight_net import MetaWeightNet
from methods.objective import Outputs, rectified
from methods.scalar_loss import Bounded
from methods.weighting.random_weights import RandomWeights
from tests.methods.cases import EXAMPLES, hard, logits, losses, p_of

# ---- each method's own identities


def test_cross_entropy_is_torchs():
    z, labels = logits(), hard().y.argmax(1)
    for smoothing in (0.0, 0.3):
        expected = F.cross_entropy(z, labels, label_smoothing=smoothing, reduction="none")
        torch.testing.assert_close(losses(CrossEntropy(smoothing), z), expected)


def test_gce_is_its_formula_and_runs_from_cross_entropy_to_one_minus_p():
    z, p = logits(), p_of(logits())
    torch.testing.assert_close(losses(GeneralizedCrossEntropy(0.7), z), (1 - p**0.7) / 0.7)
    torch.testing.assert_close(losses(GeneralizedCrossEntropy(1.0), z), 1 - p)
    near = losses(GeneralizedCrossEntropy(0.01), z)
    torch.testing.assert_close(near, -p.log(), rtol=0.03, atol=0)


def test_gce_weighs_the_gradient_of_cross_entropy_by_p_to_the_q():
    z = logits().requires_grad_()
    (found,) = torch.autograd.grad(losses(GeneralizedCrossEntropy(0.7), z).sum(), z)
    (plain,) = torch.autograd.grad(losses(CrossEntropy(), z).sum(), z)
    torch.testing.assert_close(found, p_of(z)[:, None] ** 0.7 * plain)


@pytest.mark.parametrize("A", [-4.0, math.log(1e-4)])
def test_sce_is_alpha_ce_plus_beta_rce(A):
    """RCE as the paper writes it: -sum p log y, with log 0 replaced by A."""
    z, y = logits(), hard().y
    rce = -(z.softmax(1) * torch.where(y > 0, 0.0, A)).sum(1)
    expected = 0.3 * F.cross_entropy(z, y.argmax(1), reduction="none") + 2.0 * rce
    torch.testing.assert_close(losses(SymmetricCrossEntropy(0.3, 2.0, A), z), expected)


def test_focal_is_its_formula_and_cross_entropy_at_gamma_0():
    z, p = logits(), p_of(logits())
    torch.testing.assert_close(losses(Focal(2.0), z), -((1 - p) ** 2) * p.log())
    torch.testing.assert_close(losses(Focal(0.0), z), -p.log())


def test_focal_has_the_gradient_of_the_paper():
    """Weight on cross-entropy's gradient: (1-p)^g + g (1-p)^(g-1) p l.

    A detached factor lacks the second term.
    """
    z, gamma = logits().requires_grad_(), 2.0
    (found,) = torch.autograd.grad(losses(Focal(gamma), z).sum(), z)
    (plain,) = torch.autograd.grad(losses(CrossEntropy(), z).sum(), z)
    p = p_of(z)
    weight = (1 - p) ** gamma - gamma * (1 - p) ** (gamma - 1) * p * p.log()
    torch.testing.assert_close(found, weight[:, None] * plain)


def test_l2rw_weights_are_rectified_and_sum_to_one():
    weights = rectified(torch.tensor([-1.0, 2.0, 0.0, 6.0]))
    assert weights.tolist() == [0.0, 0.25, 0.0, 0.75]
    assert rectified(torch.tensor([-1.0, 0.0])).tolist() == [0.0, 0.0]


def test_l2rw_multiplies_by_batch_size_since_the_loop_takes_the_mean():
    objective, z = LearningToReweight(), logits()
    batch = objective.before_step(hard(), lambda x: Outputs(z))
    assert objective(Outputs(z), batch).abs().max() == 0
    objective.meta_step([-torch.arange(EXAMPLES).double()], None)
    weights = torch.arange(EXAMPLES).double() / sum(range(EXAMPLES))
    expected = (weights * -p_of(z).log()).sum()
    torch.testing.assert_close(objective(Outputs(z), batch).mean(), expected)


@pytest.mark.parametrize(("options", "expected"), [
    ({}, [0, 0, 0.125, 0.25, 0.625]),
    ({"scale": "damped"}, [0, 0, 0.1, 0.2, 0.5]),  # of 10 in all, 8 speak for an example
    ({"cap": 1.0}, [0, 0, 0.125, 0.2, 0.2]),  # at most 1/B each
    ({"scale": "damped", "cap": 1.0}, [0, 0, 0.1, 0.2, 0.2]),
    ({"cap": 3.0}, [0, 0, 0.125, 0.25, 0.6]),
])  # fmt: skip
def test_safe_l2rw_weights_sum_to_less_than_one(options, expected):
    objective = LearningToReweight(**options)
    evidence = torch.tensor([-1.5, -0.5, 1.0, 2.0, 5.0])
    objective.meta_step([-evidence], None)
    torch.testing.assert_close(objective.weights, torch.tensor(expected))
    objective.meta_step([evidence.abs()], None)  # nothing speaks for any example
    assert objective.weights.tolist() == [0.0] * 5


def test_matched_l2rw_weights_pull_no_harder_at_the_logits_than_cross_entropy():
    objective, z = LearningToReweight(scale="matched"), logits()
    batch = objective.before_step(hard(), lambda x: Outputs(z))
    pull = (z.softmax(1) - batch.y).norm(dim=1)
    for hardest in (pull.argmax(), pull.argmin()):
        evidence = torch.zeros(EXAMPLES, dtype=torch.float64)
        evidence[hardest] = 1.0
        objective.meta_step([-evidence], None)
        slope = torch.autograd.functional.jacobian(lambda z: objective(Outputs(z), batch).mean(), z)
        assert slope.norm().item() == pytest.approx(min(pull.mean(), pull[hardest]).item())


@pytest.mark.parametrize(("options", "told"), [
    ({"scale": "half"}, "scale = 'half' must be one of one, damped, matched"),
    ({"cap": 0.0}, "cap = 0.0 must be above 0"),
])  # fmt: skip
def test_l2rw_refuses_what_it_does_not_know(options, told):
    with pytest.raises(ValueError, match=told):
        LearningToReweight(**options)


def test_random_weights_repeat_with_the_step_and_change_between_steps():
    z = logits()
    first, again = losses(RandomWeights(), z), losses(RandomWeights(), z)
    assert torch.equal(first, again)
    implied = first / (EXAMPLES * -p_of(z).log())
    assert implied.sum().item() == pytest.approx(1) and implied.min() >= 0
    other = hard()
    object.__setattr__(other, "key", (3, 0, 0, 1))
    assert not torch.equal(first, losses(RandomWeights(), z, other))


def test_meta_weight_net_weighs_by_its_network_on_detached_losses():
    objective, z = MetaWeightNet(hidden=8, normalize=False), logits()
    ce = -p_of(z).log()
    found = losses(objective, z)
    weights = objective.net(ce[:, None]).squeeze(1)
    torch.testing.assert_close(found, weights * ce)
    objective.normalize = True
    torch.testing.assert_close(losses(objective, z).mean(), (weights * ce).sum() / weights.sum())
    z = z.requires_grad_()
    (slope,) = torch.autograd.grad(losses(objective, z).sum(), z)
    plain = z.softmax(1) - hard().y
    weight = EXAMPLES * weights / weights.sum()
    torch.testing.assert_close(slope, weight.detach()[:, None] * plain)


# ---- learned hyperparameters


@pytest.mark.parametrize(
    ("value", "low", "high"), [(0.7, 0.01, 1.0), (2.0, 0.0, math.inf), (0.1, 0, 20)]
)
def test_a_learned_value_starts_at_its_value_and_stays_inside(value, low, high):
    bounded = Bounded("q", value, low, high, learn=True).double()
    assert bounded().item() == pytest.approx(value, rel=1e-6)
    for raw in (-30.0, 30.0):
        with torch.no_grad():
            bounded.raw.fill_(raw)
        assert low <= bounded().item() <= high


@pytest.mark.parametrize(("value", "learn"), [(1.2, False), (-0.1, False), (1.0, True)])
def test_a_value_out_of_range_is_named(value, learn):
    with pytest.raises(ValueError, match=f"q = {value}"):
        Bounded("q", value, 0.0, 1.0, learn=learn)


LEARNERS = [
    lambda learn: GeneralizedCrossEntropy(0.7, learn=learn),
    lambda learn: SymmetricCrossEntropy(0.5, 1.0, learn=learn),
    lambda learn: Focal(2.0, learn=learn),
]


@pytest.mark.parametrize("make", LEARNERS)
def test_learning_changes_nothing_before_the_first_meta_step(make):
    z = logits()
    torch.testing.assert_close(losses(make(True), z), losses(make(False), z), rtol=1e-6, atol=1e-6)
    assert not make(False).meta_parameters() and make(True).meta_parameters()


@pytest.mark.parametrize("make", LEARNERS)
def test_the_default_meta_step_is_the_optimizers(make):
    objective = make(True)
    optimizer = torch.optim.SGD(objective.meta_parameters(), lr=0.5)
    before = [p.item() for p in objective.meta_parameters()]
    objective.meta_step([torch.ones(()) for _ in before], optimizer)
    assert [p.item() for p in objective.meta_parameters()] == pytest.approx(
        [b - 0.5 for b in before]
    )

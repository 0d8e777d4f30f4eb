"""Free adversarial training and descent-ascent, against their algorithm written out."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from methods.objective import Outputs, PhaseInfo
from methods.perturbation.descent_ascent import DescentAscent
from methods.perturbation.free_adversarial_training import FreeAdversarialTraining
from methods.threat import Threat
from tests.methods.cases import EXAMPLES, batch_of, hard

INFINITE = torch.full((1,), torch.inf)
LABELS = torch.arange(EXAMPLES) % 5
X = torch.randn(EXAMPLES, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def bound(method, norm="linf", low=-INFINITE, high=INFINITE):
    threat = Threat(0.3, norm, torch.full((1,), 0.5), low, high)
    info = PhaseInfo(EXAMPLES, 5, LABELS, LABELS.bincount(), threat=threat, input_shape=(6,))
    method.bind(replace(info, batch_size=EXAMPLES))
    return method.double()


def batch(rows=slice(None)):
    given = batch_of(hard().y[rows])
    return replace(given, x=X[rows], index=torch.arange(EXAMPLES)[rows])


def take_step(method, model, rows=slice(None), lr=0.1):
    """One step of the loop: a backward for the weights and for the inputs."""
    given = method.before_step(batch(rows), lambda x: Outputs(model(x)))
    losses = method(Outputs(model(given.x)), given)
    parameters = [*model.parameters()]
    losses.mean().backward(inputs=[*parameters, given.x])
    with torch.no_grad():
        for parameter in parameters:
            parameter.sub_(lr * parameter.grad)
            parameter.grad = None
        method.after_step(Outputs(model(given.x)), losses.detach(), given)
    return given


def net():
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 5)
    ).double()


def test_it_is_algorithm_1_of_the_paper():
    """Written out with both gradients taken apart; steps of the whole radius, inputs in units."""
    method, ours, theirs = bound(FreeAdversarialTraining(radius=0.5, m=3)), net(), net()
    delta, epsilon = torch.zeros_like(X), 0.5 * 0.3
    for _ in range(6):  # two batches, each three times
        take_step(method, ours)
        d = delta.clone().requires_grad_()
        loss = F.cross_entropy(theirs(X + 0.5 * d), LABELS)
        *slopes, slope = torch.autograd.grad(loss, [*theirs.parameters(), d])
        with torch.no_grad():
            for parameter, each in zip(theirs.parameters(), slopes, strict=True):
                parameter.sub_(0.1 * each)
        delta = (delta + epsilon * slope.sign()).clamp(-epsilon, epsilon)
    for ours_p, theirs_p in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(ours_p, theirs_p, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(method.delta, delta)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_perturbation_stays_in_the_ball_and_the_inputs_in_their_range(norm):
    low, high = torch.full((1,), -0.5).double(), torch.full((1,), 0.5).double()
    method, model = bound(FreeAdversarialTraining(), norm, low, high), net()
    for _ in range(4):
        given = take_step(method, model)
        size = method.delta.abs().amax() if norm == "linf" else method.delta.norm(dim=1).amax()
        assert 0 < size <= 0.3 + 1e-12
        assert given.x.min() >= -0.5 and given.x.max() <= 0.5


def test_a_smaller_batch_has_the_perturbations_of_the_first_places():
    method = bound(FreeAdversarialTraining())
    take_step(method, net(), slice(2, 5))
    assert (method.delta[:3] != 0).any(dim=1).all() and (method.delta[3:] == 0).all()


def test_of_radius_0_it_is_plain_training():
    given = bound(FreeAdversarialTraining(radius=0.0)).before_step(batch(), Outputs)
    assert torch.equal(given.x, X)


def test_descent_ascent_keeps_a_perturbation_of_each_example():
    method, model = bound(DescentAscent(step=0.25)), net()
    assert method.replays == 1
    take_step(method, model, slice(2, 5))
    expected = torch.zeros(EXAMPLES, dtype=torch.bool)
    expected[2:5] = True
    assert torch.equal((method.delta != 0).any(dim=1), expected)
    torch.testing.assert_close(method.delta[2:5].abs(), torch.full((3, 6), 0.25 * 0.3).double())


@pytest.mark.parametrize("m", [0, 1.5])
def test_the_number_of_replays_is_a_whole_one(m):
    with pytest.raises(ValueError, match=r"m = .* must be a whole number from 1 on"):
        FreeAdversarialTraining(m=m)

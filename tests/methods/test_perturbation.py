"""MaxUp and adversarial training against what they are where that is known."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from methods.objective import Batch, Outputs, PhaseInfo
from methods.perturbation.adversarial_training import AdversarialTraining
from methods.perturbation.gaussian_noise import GaussianNoise
from methods.perturbation.max_up import MaxUp
from methods.threat import Threat

W = torch.tensor([[0.7, -1.2, 0.4], [-0.3, 0.5, 0.9]], dtype=torch.float64)


def linear(x):
    return Outputs(x @ W.T)


def batch(n=6, augment=None):
    torch.manual_seed(0)
    x, labels = torch.randn(n, 3, dtype=torch.float64), torch.arange(n) % 2
    flags, now = torch.zeros(n, dtype=torch.bool), torch.tensor(0.5)
    y = F.one_hot(labels, 2).double()
    return Batch(x, y, torch.arange(n), flags, (3, 0, 0, 0), now, augment)


def loss_of(x, y):
    return F.cross_entropy(x @ W.T, y, reduction="none")


def test_of_augmented_copies_the_hardest_of_each_example_is_trained_on():
    copies = [batch().x.roll(number, 0) for number in range(4)]
    given = batch(augment=lambda number: copies[number])
    found = MaxUp(m=4).before_step(given, linear)
    losses = torch.stack([loss_of(x, given.y) for x in copies])
    torch.testing.assert_close(loss_of(found.x, given.y), losses.amax(dim=0))
    assert torch.equal(found.y, given.y) and torch.equal(found.index, given.index)


def test_one_augmented_copy_is_the_batch_itself():
    given = batch(augment=lambda number: 1 / 0)
    assert torch.equal(MaxUp(m=1).before_step(given, lambda x: 1 / 0).x, given.x)


@pytest.mark.parametrize("m", [1, 4])
def test_without_noise_and_augmentation_inputs_keep_their_bits(m):
    assert torch.equal(MaxUp(m, sigma=0.0).before_step(batch(), linear).x, batch().x)


def test_in_the_gaussian_limit_the_loss_rises_by_the_mean_of_the_largest_of_m_normals():
    """sigma |dl/dx| E max_j e_j; of four standard normals the largest is 1.0294 on average."""
    given, sigma = batch(20_000), 1e-3
    given = replace(given, x=given.x[:2].repeat(10_000, 1))
    rise = loss_of(MaxUp(4, sigma).before_step(given, linear).x, given.y) - loss_of(
        given.x, given.y
    )
    x = given.x[:2].clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss_of(x, given.y[:2]).sum(), x)
    found = rise.view(-1, 2).mean(dim=0) / (sigma * slope.norm(dim=1))
    torch.testing.assert_close(found, torch.full((2,), 1.0294).double(), rtol=0.02, atol=0)


def adversarial(epsilon=0.1, **how):
    method, inf = AdversarialTraining(**how), torch.tensor(math.inf)
    threat = Threat(epsilon, "linf", torch.ones(3), -inf, inf)
    labels = torch.arange(2)
    method.bind(PhaseInfo(2, 2, labels, labels.bincount(), threat=threat))
    return method


@pytest.mark.parametrize("how", [{}, {"radius": 2.0}, {"step": 1.25, "steps": 1}])
def test_on_a_linear_model_the_margin_falls_by_the_radius_times_the_l1_norm(how):
    found = adversarial(**how).before_step(batch(), linear)
    w = (W[0] - W[1]) * (2 * found.y[:, :1] - 1)
    lost = ((batch().x - found.x) * w).sum(dim=1)
    expected = 0.1 * how.get("radius", 1.0) * w.abs().sum(dim=1)
    if how.get("steps") == 1:  # of 1.25 radii, from a random start: all but some are at the end
        assert (lost <= expected + 1e-12).all() and (lost > 0.25 * expected - 1e-12).all()
    else:
        torch.testing.assert_close(lost, expected)


def test_without_a_radius_inputs_keep_their_bits():
    found = adversarial(radius=0.0).before_step(batch(), linear)
    assert torch.equal(found.x, batch().x)


def test_its_passes_are_those_of_the_attack():
    assert AdversarialTraining(steps=7).extra_passes == 14
    assert MaxUp(4).extra_passes == 4 and MaxUp(1).extra_passes == 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MaxUp(m=0), "m = 0 must be a whole number from 1 on"),
        (lambda: MaxUp(sigma=-1.0), r"sigma = -1.0 must lie in \[0"),
        (lambda: AdversarialTraining(steps=0), "steps = 0 must be a whole number"),
        (lambda: AdversarialTraining(radius=-1.0), r"radius = -1.0 must lie in \[0"),
    ],
)
def test_what_is_not_allowed_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_gaussian_noise_raises_the_loss_by_half_the_trace_of_its_curvature():
    """sigma^2 / 2 tr(d^2 l / dx^2), whose matrix is W^T (diag p - p p^T) W for a linear model."""
    sigma, times = 0.3, 100_000
    given = batch(2)
    many = replace(given, x=given.x.repeat(times, 1), y=given.y.repeat(times, 1))
    found = GaussianNoise(sigma).before_step(many, linear)
    rise = (loss_of(found.x, many.y) - loss_of(many.x, many.y)).view(times, 2).mean(0)
    p = (given.x @ W.T).softmax(1)
    covariance = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    expected = sigma**2 / 2 * torch.einsum("ki,nkl,li->n", W, covariance, W)
    torch.testing.assert_close(rise, expected, rtol=0.1, atol=0.004)


def test_of_sigma_0_there_is_no_gaussian_noise_and_a_step_again_has_the_same():
    assert torch.equal(GaussianNoise(0.0).before_step(batch(), linear).x, batch().x)
    first, again = (GaussianNoise(0.5).before_step(batch(), linear).x for _ in range(2))
    other = GaussianNoise(0.5).before_step(replace(batch(), key=(3, 0, 0, 1)), linear).x
    assert torch.equal(first, again) and not torch.equal(first, other)

"""Perturbations stay where they may be, and on a linear model are the worst there are."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from methods.objective import generator
from methods.threat import Threat

FREE = Threat(0.3, "linf", torch.ones(3), torch.tensor(-math.inf), torch.tensor(math.inf))
WEIGHT = torch.ones(3, requires_grad=True)
both = pytest.mark.parametrize("norm", ["linf", "l2"])


def linear(n=5):
    """Inputs, and weights and labels in -1, 1 of the loss softplus(-t <w, x>)."""
    torch.manual_seed(0)
    x, w = torch.randn(n, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    return x, w, torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0]).double()[:n]


def attacked(threat, steps=10, step=0.25, start=None):
    x, w, t = linear()
    return threat.ascend(x, lambda v: F.softplus(-t * (v @ w)).sum(), step, steps, start)


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
@pytest.mark.parametrize("start", ["zero", "random"])
def test_on_a_linear_model_the_margin_falls_by_epsilon_times_the_dual_norm(norm, dual, start):
    (x, w, t), threat = linear(), replace(FREE, norm=norm)
    first = threat.random(x, generator(0)) if start == "random" else None
    found = attacked(threat, steps=60, start=first)
    margin = t * (x @ w) - 0.3 * w.norm(p=dual)
    torch.testing.assert_close(t * (found @ w), margin, rtol=1e-3, atol=1e-6)


def test_lengths_are_in_units_and_a_feature_without_one_stays():
    x, w, t = linear()
    unit = torch.tensor([2.0, 0.5, 0.0])
    moved = attacked(replace(FREE, unit=unit)) - x
    torch.testing.assert_close(moved, -0.3 * unit * w.sign() * t[:, None])
    assert torch.equal(moved[:, 2], torch.zeros(5))
    straight = attacked(replace(FREE, unit=unit, norm="l2"), steps=60) - x
    along = -unit * (unit * w) / (unit * w).norm() * t[:, None]
    torch.testing.assert_close(straight, 0.3 * along)


def rough(x):
    """A loss with slopes in all directions."""
    return (13 * x + x.flip(-1)).sin().sum()


@both
@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5, 5)])
def test_every_step_stays_in_the_ball_and_in_the_range(norm, shape):
    torch.manual_seed(0)
    x = 2 * torch.rand(shape) - 1
    unit = torch.tensor([0.5, 1.0, 2.0]).view(3, *[1] * (len(shape) - 2))
    threat = Threat(0.4, norm, unit, torch.tensor(-1.0), torch.tensor(1.0))
    order = math.inf if norm == "linf" else 2
    starts = threat.random(x, generator(1)), 100 * torch.randn(shape)
    for start in starts:
        for steps in range(4):
            found = threat.ascend(x, rough, 0.3, steps, start)
            length = ((found - x) / unit).flatten(1).norm(p=order, dim=1)
            assert length.max() <= 0.4 + 1e-5 and found.abs().max() <= 1 + 1e-6
    assert rough(threat.ascend(x, rough, 0.01, 20)) > rough(x)


@pytest.mark.parametrize("blind", [lambda x: x.round().detach().sum(), lambda x: WEIGHT.sum()])
def test_a_model_without_a_gradient_in_its_inputs_is_named(blind):
    with pytest.raises(ValueError, match="the model gives none"):
        FREE.ascend(torch.zeros(2, 3), blind, 0.1, 1)


@both
def test_without_a_radius_inputs_keep_their_bits(norm):
    x, _, _ = linear()
    threat = replace(FREE, norm=norm, epsilon=0.0)
    start = threat.random(x, generator(0))
    assert torch.equal(threat.ascend(x, rough, 0.1, 3, start), x)


@both
def test_a_random_start_lies_in_the_ball_and_has_its_key(norm):
    threat, x = replace(FREE, norm=norm), torch.zeros(2000, 3)
    start = threat.random(x, generator(1))
    assert torch.equal(start, threat.random(x, generator(1)))
    assert not torch.equal(start, threat.random(x, generator(2)))
    length = start.abs() if norm == "linf" else start.norm(dim=1)
    assert length.max() <= 0.3 + 1e-6
    assert float(length.mean()) == pytest.approx(0.15, rel=0.05)

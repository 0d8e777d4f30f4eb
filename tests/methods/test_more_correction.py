"""Dimensionality-driven learning and meta soft labels."""

import math

import pytest
import torch
from torch.nn import functional as F

from methods.correction.dimensionality_driven import DimensionalityDriven, local_dimension
from methods.correction.meta_soft_labels import MetaSoftLabels
from methods.losses.cross_entropy import CrossEntropy
from methods.objective import (
    Outputs,
    PhaseInfo,
    PoolOutputs,
    PreviousPhase,
    cross_entropy,
    likeliest,
)
from tests.methods.cases import CLASSES, EXAMPLES, hard, logits

Z = logits(2.0)
PLAIN = cross_entropy(Z, hard().y)


def bound(method, epochs=20):
    labels = torch.arange(EXAMPLES) % CLASSES
    method.bind(PhaseInfo(EXAMPLES, CLASSES, labels, labels.bincount(), features=3, epochs=epochs))
    return method.double()


@pytest.mark.parametrize(("dimension", "expected"), [(1, 1.0), (2, 2.0), (4, 4.0)])
def test_points_that_fill_a_space_have_its_dimension(dimension, expected):
    points = torch.rand(3000, dimension, generator=torch.manual_seed(0))
    spread = F.pad(points, (0, 3))  # in a larger space
    assert float(local_dimension(spread, 20)) == pytest.approx(expected, rel=0.12)


def test_equal_features_leave_the_dimension_finite():
    assert local_dimension(torch.ones(30, 4), 20).isfinite()


def turned(dimensions, **options):
    method = bound(DimensionalityDriven(**options))
    for epoch, dimension in enumerate(dimensions):
        method.dimensions[epoch] = dimension
        method._turn(epoch)
    return method


def test_labels_count_whole_until_the_dimension_turns_upwards():
    falling = [10.0 - epoch / 10 for epoch in range(12)]
    assert turned(falling).alpha == 1
    method = turned([*falling, 12.0])
    assert float(method.alpha) == pytest.approx(math.exp(-(12 / 20) * 12.0 / min(falling)))
    assert turned([*falling[:9], 12.0]).alpha == 1  # ten are known: too early


def test_the_label_is_mixed_with_the_likeliest_class():
    method = bound(DimensionalityDriven())
    torch.testing.assert_close(method(Outputs(Z), hard()), PLAIN)
    method.alpha.fill_(0.7)
    target = 0.7 * hard().y + 0.3 * F.one_hot(Z.argmax(1), CLASSES)
    torch.testing.assert_close(method(Outputs(Z), hard()), cross_entropy(Z, target))


def test_it_samples_before_each_epoch():
    method = bound(DimensionalityDriven(k=3))
    features = torch.randn(EXAMPLES, 3, generator=torch.manual_seed(1))
    pool = PoolOutputs(Outputs(Z, features), torch.arange(EXAMPLES), hard().y.argmax(1), None)
    method.begin_epoch(2, lambda pool_name=None: pool)
    assert method.dimensions[2] > 0 and not method.dimensions[[0, 1, 3]].any()


def constant(net, value):
    """A network that gives this value."""
    with torch.no_grad():
        net[2].weight.zero_()
        net[2].bias.fill_(math.log(value / (1 - value)))


def after(p):
    def predict(pool=None):
        return PoolOutputs(Outputs(p.log()), torch.arange(EXAMPLES), hard().y.argmax(1), None)

    return PreviousPhase(CrossEntropy(), predict, {})


def test_meta_soft_labels_mix_three_losses_and_remember_the_mixture():
    method, before = bound(MetaSoftLabels(hidden=4)), logits().roll(1, 0).softmax(1)
    method.inherit(after(before))
    torch.testing.assert_close(method.soft, before)
    constant(method.first, 0.3)
    constant(method.second, 0.6)
    stored, own = cross_entropy(Z, likeliest(before)), cross_entropy(Z, likeliest(Z))
    expected = 0.3 * PLAIN + 0.7 * (0.6 * stored + 0.4 * own)
    torch.testing.assert_close(method(Outputs(Z), hard()), expected)
    with torch.no_grad():
        method.after_step(Outputs(Z), PLAIN, hard())
    mixture = 0.3 * hard().y + 0.7 * (0.6 * before + 0.4 * Z.softmax(1))
    torch.testing.assert_close(method.soft, mixture)
    torch.testing.assert_close(method.soft.sum(1), torch.ones(EXAMPLES).double())


def test_with_all_weight_on_the_label_meta_soft_labels_are_cross_entropy():
    method = bound(MetaSoftLabels())
    constant(method.first, 1 - 1e-12)
    torch.testing.assert_close(method(Outputs(Z), hard()), PLAIN)

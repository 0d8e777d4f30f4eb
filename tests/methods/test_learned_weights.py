"""Weight functions and losses that learn: where they begin, what they reduce to."""

import pytest
import torch
from torch.nn import functional as F

from methods.meta.bilinear_loss import BilinearLoss
from methods.meta.deep_weights import DeepWeights
from methods.meta.meta_weight_net import MetaWeightNet
from methods.meta.piecewise_weights import PiecewiseWeights
from methods.objective import Outputs, PhaseInfo, cross_entropy
from methods.weighting.by_loss import mean_one
from tests.methods.cases import CLASSES, EXAMPLES, FEATURES, hard, logits, outputs_for, p_of

Z = logits(2.0)
PLAIN = cross_entropy(Z, hard().y)


def bound(method):
    labels = torch.arange(EXAMPLES) % CLASSES
    method.bind(PhaseInfo(EXAMPLES, CLASSES, labels, labels.bincount(), features=FEATURES))
    return method.double()


def test_a_piecewise_function_begins_as_cross_entropy():
    found = bound(PiecewiseWeights())(Outputs(Z), hard())
    torch.testing.assert_close(found, PLAIN, rtol=1e-6, atol=1e-6)


def test_a_piecewise_function_goes_through_its_knots_and_straight_between_them():
    method = bound(PiecewiseWeights(knots=3))
    heights = torch.tensor([0.5, 2.0, 1.0]).double()
    with torch.no_grad():
        method.raw.copy_(heights.expm1().log())
    p = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]).double()
    torch.testing.assert_close(method.at(p), torch.tensor([0.5, 1.25, 2.0, 1.5, 1.0]).double())
    expected = mean_one(method.at(p_of(Z))) * PLAIN
    torch.testing.assert_close(method(Outputs(Z), hard()), expected)


def test_what_is_shown_of_it_is_by_loss():
    method = bound(PiecewiseWeights())
    shown = method.learned()["weight_function"]
    grid = torch.linspace(0, 10, 41).double()
    torch.testing.assert_close(shown, method.at((-grid).exp()))


def test_without_features_label_and_progress_deep_weights_are_meta_weight_nets():
    deep, plain = bound(DeepWeights(hidden=8)), MetaWeightNet(hidden=8).double()
    with torch.no_grad():
        first = deep.net[0].weight
        first.zero_()
        first[:, -2:-1].copy_(plain.net[0].weight)
        deep.net[0].bias.copy_(plain.net[0].bias)
        for mine, theirs in zip(deep.net[2].parameters(), plain.net[2].parameters(), strict=True):
            mine.copy_(theirs)
    torch.testing.assert_close(deep(outputs_for(deep, Z), hard()), plain(Outputs(Z), hard()))


def test_deep_weights_see_features_label_loss_and_progress():
    method, outputs = bound(DeepWeights()), outputs_for(bound(DeepWeights()), Z)
    features = outputs.features
    weights = method.weights(features, PLAIN, hard())
    others = (
        method.weights(features.roll(1, 0), PLAIN, hard()),
        method.weights(features, PLAIN.roll(1, 0), hard()),
        method.weights(features, PLAIN, hard(torch.zeros(EXAMPLES, dtype=torch.long))),
    )
    assert not any(torch.allclose(weights, other) for other in others)
    scaled = method.weights(3 * features + 1, PLAIN, hard())  # normalised in each example
    torch.testing.assert_close(weights, scaled, rtol=1e-3, atol=1e-4)


def test_at_the_identity_a_bilinear_loss_is_cross_entropy():
    method = bound(BilinearLoss())
    with torch.no_grad():
        method.raw.copy_(100 * torch.eye(CLASSES))
    torch.testing.assert_close(method(Outputs(Z), hard()), PLAIN)


def test_a_bilinear_loss_is_its_matrix_between_label_and_log_probabilities():
    method = bound(BilinearLoss(spread=0.2))
    phi = torch.full((CLASSES, CLASSES), 0.05).fill_diagonal_(0.8).double()
    torch.testing.assert_close(method.raw.softmax(1), phi, rtol=1e-6, atol=1e-7)
    expected = -torch.einsum("bi,ij,bj->b", hard().y, phi, F.log_softmax(Z, 1))
    torch.testing.assert_close(method(Outputs(Z), hard()), expected, rtol=1e-6, atol=1e-7)
    assert float(method.learned()["kept"]) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PiecewiseWeights(knots=1), "knots = 1 must be at least 2"),
        (lambda: BilinearLoss(spread=0.0), r"spread = 0.0 must lie in \(0, 1\)"),
        (lambda: DeepWeights(hidden=0), "hidden = 0 must be at least 1"),
    ],
)
def test_values_outside_of_their_ranges_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()

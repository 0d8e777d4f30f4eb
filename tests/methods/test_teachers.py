"""A Gaussian process that teaches, and a weight function that is searched."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from methods.losses.cross_entropy import CrossEntropy
from methods.objective import Outputs, PhaseInfo, PoolOutputs, PreviousPhase, cross_entropy
from methods.weighting.by_loss import mean_one
from methods.weighting.embedding_weights import EmbeddingWeights
from methods.weighting.fidelity_weights import FidelityWeights
from tests.methods.cases import CLASSES, EXAMPLES, hard, logits

Z = logits(2.0)
PLAIN = cross_entropy(Z, hard().y)
LABELS = hard().y.argmax(1)


def bound(method):
    method.bind(PhaseInfo(EXAMPLES, CLASSES, LABELS, LABELS.bincount(), features=6))
    return method.double()


def after(features, clean=None, clean_labels=None):
    def predict(pool=None):
        x, y = (clean, clean_labels) if pool == "meta" else (features, LABELS)
        return PoolOutputs(Outputs(Z[: len(x)], x), torch.arange(len(x)), y, None)

    return PreviousPhase(CrossEntropy(), predict, {})


def features(seed=0, n=EXAMPLES):
    return torch.randn(n, 6, generator=torch.manual_seed(seed))


def test_the_teacher_agrees_with_clean_examples_and_is_sure_of_them():
    known = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    far = features(1) * 1.0
    method = bound(FidelityWeights())
    seen = F.layer_norm(features(), (6,))
    method.inherit(after(torch.cat([seen[:3], far[:4]]), seen, known))
    assert method.labels[:3].argmax(1).tolist() == [0, 1, 2]
    torch.testing.assert_close(method.labels.sum(1), torch.ones(EXAMPLES).double())
    assert method.spread[:3].max() < method.spread[3:].min()


def test_examples_weigh_less_the_less_the_teacher_knows():
    method = bound(FidelityWeights(beta=2.0))
    torch.testing.assert_close(method(Outputs(Z), hard()), PLAIN)  # labels as observed, and sure
    method.spread.copy_(torch.linspace(0, 1, EXAMPLES))
    expected = (-2 * torch.linspace(0, 1, EXAMPLES).double()).exp() * PLAIN
    torch.testing.assert_close(method(Outputs(Z), hard()), expected, rtol=1e-6, atol=1e-7)


def test_at_zero_a_searched_function_is_cross_entropy():
    method = bound(EmbeddingWeights())
    method.inherit(after(features()))
    torch.testing.assert_close(method(Outputs(Z), hard()), PLAIN)


def test_it_weighs_by_principal_components_and_the_loss():
    method, x = bound(EmbeddingWeights(1.0, -0.5, 0.0, 2.0)), features()
    method.inherit(after(x))
    centred = x.double().numpy() - x.double().numpy().mean(0)
    left, _, _ = np.linalg.svd(centred, full_matrices=False)
    for number in range(3):
        found = method.embedding[:, number].numpy()
        assert abs(np.corrcoef(found, left[:, number])[0, 1]) == pytest.approx(1, abs=1e-5)
    loss = (PLAIN - PLAIN.mean()) / PLAIN.std(correction=0)
    torch.testing.assert_close(method.embedding[:, 3], loss, rtol=1e-5, atol=1e-6)
    e = method.embedding
    expected = mean_one((e[:, 0] - 0.5 * e[:, 1] + 2 * e[:, 3]).sigmoid()) * PLAIN
    torch.testing.assert_close(method(Outputs(Z), hard()), expected)


def test_fewer_features_than_components_are_enough():
    method = bound(EmbeddingWeights(1.0, 1.0, 1.0, 1.0))
    method.inherit(after(features()[:, :2]))
    assert not method.embedding[:, 0].any() and method(Outputs(Z), hard()).isfinite().all()

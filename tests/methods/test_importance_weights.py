"""Importance weights: none where both sets are alike, the ratio of priors where these differ."""

import torch

from methods.losses.cross_entropy import CrossEntropy
from methods.objective import Outputs, PhaseInfo, PoolOutputs, PreviousPhase
from methods.weighting.importance_weights import ImportanceWeights


def weights(train_labels, clean_labels, C=1e4):
    method = ImportanceWeights(C)
    rows = len(train_labels)
    method.bind(PhaseInfo(rows, 2, train_labels, train_labels.bincount(), features=3))

    def predict(pool=None):
        y = clean_labels if pool == "meta" else train_labels
        outputs = Outputs(torch.zeros(len(y), 2), torch.ones(len(y), 3))
        flags = torch.full((len(y),), pool == "meta")
        return PoolOutputs(outputs, torch.arange(len(y)), y, flags)

    method.inherit(PreviousPhase(CrossEntropy(), predict, {}))
    return method.of_row


def labels(zeros, ones):
    return torch.tensor([0] * zeros + [1] * ones)


def test_equal_distributions_give_equal_weights():
    found = weights(labels(300, 100), labels(30, 10))
    torch.testing.assert_close(found, torch.ones(400), rtol=0, atol=1e-2)


def test_a_shift_of_the_classes_gives_the_ratio_of_their_shares():
    train, clean = labels(300, 100), labels(50, 50)
    ratio = torch.tensor([0.5 / 0.75, 0.5 / 0.25])[train]
    torch.testing.assert_close(weights(train, clean), ratio / ratio.mean(), rtol=1e-2, atol=0)


def test_weights_are_at_most_ten_before_they_are_scaled():
    found = weights(labels(990, 10), labels(10, 990))
    uncapped = (0.99 / 0.01) / (0.01 / 0.99)
    assert found[-1] / found[0] < 10 / (0.01 / 0.99) < uncapped
    torch.testing.assert_close(found.mean(), torch.tensor(1.0))

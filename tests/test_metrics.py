"""Metrics agree with scikit-learn, with hand-computed cases, and with their definitions."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from pipelines.metrics import METRICS, evaluate
from pipelines.score_order import auroc, average_precision


def sample(n: int, classes: int, seed: int, present: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random probabilities and labels of the first `present` classes."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    return logits.softmax(1), torch.randint(present, (n,), generator=generator)


@pytest.mark.parametrize(("classes", "present"), [(2, 2), (10, 10), (10, 6), (100, 40)])
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_agrees_with_scikit_learn(classes, present):
    p, y = sample(300, classes, classes, present)
    result, predicted = evaluate(p, y), p.argmax(1)
    assert result["accuracy"] == pytest.approx(sk.accuracy_score(y, predicted))
    assert result["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, predicted))
    assert result["macro_f1"] == pytest.approx(
        sk.f1_score(y, predicted, average="macro", zero_division=0)
    )
    expected = sk.log_loss(y, p.numpy(), labels=range(classes))
    assert result["nll"] == pytest.approx(expected, rel=1e-6)
    sides = [(y == c, p[:, c]) for c in range(present)]
    for name, of in (
        ("auroc", sk.roc_auc_score),
        ("average_precision", sk.average_precision_score),
    ):
        one = name == "average_precision" and classes == 2  # then it is the second class's
        expected = np.mean([of(*side) for side in (sides[1:] if one else sides)])
        assert result[name] == pytest.approx(expected)
    recalls = sk.recall_score(y, predicted, labels=range(present), average=None, zero_division=0)
    assert result["worst_class_recall"] == pytest.approx(recalls.min())
    matrix = sk.confusion_matrix(y, predicted, labels=range(classes))
    assert result["confusion"] == matrix.tolist()
    recall = [matrix[c, c] / matrix[c].sum() if c < present else None for c in range(classes)]
    assert result["per_class_accuracy"] == pytest.approx(recall)


def test_calibration_error_by_hand():
    # a hit and a miss in the bin (9/15, 10/15], a hit in (13/15, 14/15], a miss in (14/15, 1]
    confidence = torch.tensor([0.61, 0.65, 0.9, 0.95], dtype=torch.float64)
    result = evaluate(torch.stack([confidence, 1 - confidence], 1), torch.tensor([0, 1, 0, 1]))
    assert result["ece"] == pytest.approx((2 * (0.63 - 0.5) + (1 - 0.9) + 0.95) / 4)


def test_calibration_error_by_its_definition():
    p, y = sample(500, 5, 0, 5)
    confidence, hit = p.max(1).values.numpy(), (p.argmax(1) == y).numpy()
    total = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - hit[inside].mean())
    assert evaluate(p, y)["ece"] == pytest.approx(total)


def test_perfect_and_hopeless_predictions():
    y = torch.arange(3)
    good, bad = evaluate(torch.eye(3), y), evaluate(torch.eye(3).roll(1, 0), y)
    assert good["accuracy"] == good["balanced_accuracy"] == good["macro_f1"] == 1
    assert good["nll"] == good["ece"] == 0
    assert bad["accuracy"] == bad["balanced_accuracy"] == bad["macro_f1"] == 0
    assert bad["nll"] == pytest.approx(math.log(1e7))
    assert bad["ece"] == 1


def test_scores_rise_with_quality_and_nothing_is_worse_than_a_diverged_run():
    ps = [torch.eye(3).roll(k, 0) for k in (0, 1)]
    good, bad = (evaluate(p, torch.arange(3), attacked=p) for p in ps)
    for name, metric in METRICS.items():
        best, worst = metric.score(good[name]), metric.score(bad[name])
        assert best > worst >= metric.worst_score(classes=3) - 1e-12
    assert METRICS["accuracy"].worst_score(classes=3) == 0
    assert METRICS["nll"].worst_score(classes=3) == math.log(1e-7)


def test_robust_accuracy_is_of_attacked_inputs_and_left_out_without_them():
    p, y = sample(50, 10, 1, 3)
    assert "robust_accuracy" not in evaluate(p, y)
    found = evaluate(p, y, attacked=torch.eye(10)[y].roll(1, 1))
    assert found["robust_accuracy"] == 0
    assert {n: v for n, v in found.items() if n != "robust_accuracy"} == evaluate(p, y)


def test_result_is_plain_json_and_repeatable():
    p, y = sample(50, 10, 1, 3)
    result = evaluate(p.requires_grad_(), y)
    assert json.loads(json.dumps(result, allow_nan=False)) == result == evaluate(p, y)
    assert np.sum(result["confusion"]) == 50


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_auroc_is_scikit_learns_with_ties_and_exact(levels):
    rng = np.random.default_rng(levels)
    scores, positive = rng.integers(levels, size=300).astype("float32"), rng.random(300) < 0.3
    assert auroc(scores, positive) == pytest.approx(sk.roc_auc_score(positive, scores))
    wins = np.sign(scores[positive][:, None] - scores[~positive]).sum()  # a tie is 0
    assert auroc(scores, positive) == (1 + wins / (positive.sum() * (~positive).sum())) / 2


def test_auroc_needs_a_positive_and_a_negative_example():
    assert auroc([1.0, 2.0], [True, True]) is None and auroc([1.0, 2.0], [False, False]) is None


def test_what_reads_the_registry_starts_without_torch():
    code = "import pipelines.analysis.scenarios, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_average_precision_is_scikit_learns_with_ties():
    rng = np.random.default_rng(0)
    for levels in (2, 5, 1000):
        scores, positive = rng.integers(0, levels, 60), rng.random(60) < 0.3
        expected = sk.average_precision_score(positive, scores)
        assert average_precision(scores, positive) == pytest.approx(expected)
    assert average_precision([1.0, 2.0], [False, False]) is None


def test_the_order_of_probabilities_counts_and_not_the_class_that_is_called():
    p = torch.tensor([0.1, 0.2, 0.3, 0.05])
    result = evaluate(torch.stack([1 - p, p], dim=1), torch.tensor([0, 1, 1, 0]))
    assert result["accuracy"] == 0.5
    assert result["auroc"] == result["average_precision"] == 1
    constant = evaluate(torch.full((4, 2), 0.5), torch.tensor([0, 1, 1, 0]))
    assert constant["auroc"] == constant["average_precision"] == 0.5  # the share of class 1

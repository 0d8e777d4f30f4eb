"""What is measured of a model's predictions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

SMALLEST = 1e-7  # probabilities are cut off here: one confident mistake must not make nll infinite
BINS = 15


def evaluate(probabilities: Tensor, labels: Tensor, classes: int) -> dict[str, Any]:
    """Metrics of probabilities [n, K] against labels [n], as plain numbers; n >= 1.

    accuracy, nll (nats, probabilities cut off at 1e-7), ece (expected calibration error of the
    predicted class, 15 bins of equal width, Guo et al., ICML 2017), balanced_accuracy (mean recall
    of the classes that occur in `labels`), macro_f1 (mean over classes that occur in labels or
    predictions), per_class_accuracy [K] (recall; none where a class does not occur) and confusion
    [K][K] (rows: labels, columns: predictions).
    """
    # on the CPU in float64: bincount with weights is not deterministic on CUDA
    p, y = probabilities.detach().cpu().double(), labels.cpu()
    confidence, predicted = p.max(dim=1)
    confusion = torch.bincount(y * classes + predicted, minlength=classes**2).view(classes, classes)
    hits, support, calls = confusion.diag().double(), confusion.sum(1), confusion.sum(0)
    recall = hits / support
    f1 = 2 * hits / (support + calls)
    return {
        "accuracy": (hits.sum() / len(y)).item(),
        "balanced_accuracy": recall[support > 0].mean().item(),
        "macro_f1": f1[support + calls > 0].mean().item(),
        "nll": -p.gather(1, y[:, None]).clamp(min=SMALLEST).log().mean().item(),
        "ece": _calibration_error(confidence, predicted == y),
        "per_class_accuracy": [
            r if n else None for r, n in zip(recall.tolist(), support.tolist(), strict=True)
        ],
        "confusion": confusion.tolist(),
    }


def _calibration_error(confidence: Tensor, correct: Tensor) -> float:
    bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1  # (0, 1/15], (1/15, 2/15], ...
    gap = torch.bincount(bins, weights=confidence - correct.double(), minlength=BINS)
    return (gap.abs().sum() / len(confidence)).item()


def score(metrics: dict[str, Any], name: str) -> float:
    """A metric as something to maximise: nll is negated, the others are what they are."""
    return -metrics[name] if name == "nll" else metrics[name]


def worst_score(name: str) -> float:
    """The score of a run that diverged: no model scores lower."""
    return math.log(SMALLEST) if name == "nll" else 0.0

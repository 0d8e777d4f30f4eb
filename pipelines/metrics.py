"""The metrics that a study may score by, one entry each, and what else is measured of predictions.

A new metric is a function of `Predictions` and an entry in `METRICS`: the protocol accepts its
name, trials compute and select by it, tables, figures and the headline show it.

Whatever reads metrics must load without torch, so tensors are used through their methods alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.score_order import auroc, average_precision
from pipelines.stored_predictions import Confusion, stored_confusion

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 1e-7  # probabilities are cut off here: one confident mistake must not make nll infinite
BINS = 15

PASSES = "passes"  # a second aim beside the metrics: what a run costs


class Predictions:
    """Probabilities [n, K] against labels [n]; n >= 1. A class is called where it is predicted."""

    def __init__(self, probabilities: Tensor, labels: Tensor) -> None:
        # on the CPU in float64: bincount with weights is not deterministic on CUDA
        self.probabilities, self.labels = probabilities.detach().cpu().double(), labels.cpu()
        self.confidence, self.predicted = self.probabilities.max(dim=1)

    @cached_property
    def hits(self) -> Tensor:
        """Examples [K] of each class that are predicted as such."""
        return self._count(self.labels[self.predicted == self.labels]).double()

    @cached_property
    def support(self) -> Tensor:
        """Examples [K] of each class."""
        return self._count(self.labels)

    @cached_property
    def calls(self) -> Tensor:
        """Predictions [K] of each class."""
        return self._count(self.predicted)

    def _count(self, classes: Tensor) -> Tensor:
        return classes.bincount(minlength=self.probabilities.shape[1])

    @cached_property
    def recall(self) -> Tensor:
        """Share [K] of each class that is predicted as such; nan where a class does not occur."""
        return self.hits / self.support

    def against_the_rest(self) -> list[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
        """For each class its probabilities [n], and which examples are of it [n]."""
        columns, labels = self.probabilities.numpy().T, self.labels.numpy()
        return [(scores, labels == number) for number, scores in enumerate(columns)]


@dataclass(frozen=True)
class Metric:
    """A number to score models by, and how it is oriented and shown.

    label: of its score, in tables and figures; for nll, whose score is its negative, the
        log-likelihood.
    unit: "%" for fractions, which are then shown in points of 100; else any text, or none.
    compute: the metric itself, before it is oriented.
    worst: its value for a run that diverged, which no model should fall below; a function of the
        number of classes where it depends on that.
    example_weights: where the metric is a mean over examples of whether each was classified right,
        the weights [K] in it of an example of each class, from the numbers [K] of examples.
    attacked: whether it is of predictions on inputs that the protocol's attack has perturbed.
    no_mean: whether it is a share, but not the mean one of right calls, of which blind
        predictions have about 1/K.
    """

    label: str
    unit: str
    compute: Callable[[Predictions], float]
    worst: float | Callable[[int], float]
    higher_is_better: bool = True
    example_weights: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    attacked: bool = False
    no_mean: bool = False

    def score(self, value: float) -> float:
        """A value of the metric as something to maximise."""
        return value if self.higher_is_better else -value

    def worst_score(self, classes: int) -> float:
        """The score of a run that diverged."""
        return self.score(self.worst(classes) if callable(self.worst) else self.worst)

    @property
    def bounds(self) -> tuple[float, float]:
        """That no score leaves, as far as they are known."""
        worst = -math.inf if callable(self.worst) else self.score(self.worst)
        return (0.0, 1.0) if self.in_points else (worst, math.inf)

    @property
    def difference_bounds(self) -> tuple[float, float]:
        """That no difference of two scores leaves."""
        span = self.bounds[1] - self.bounds[0]
        return -span, span

    @property
    def title(self) -> str:
        """Label and unit, for a heading or an axis."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    @property
    def in_points(self) -> bool:
        """Whether scores are fractions and shown in points of 100."""
        return self.unit == "%"

    @property
    def scale(self) -> float:
        """What scores are multiplied by to be shown."""
        return 100.0 if self.in_points else 1.0


def _accuracy(predictions: Predictions) -> float:
    return (predictions.hits.sum() / len(predictions.labels)).item()


def _balanced_accuracy(predictions: Predictions) -> float:
    """Mean recall of the classes that occur among the labels."""
    return predictions.recall[predictions.support > 0].mean().item()


def _worst_class_recall(predictions: Predictions) -> float:
    """Lowest recall of the classes that occur among the labels."""
    return predictions.recall[predictions.support > 0].min().item()


def _balanced_weights(support: NDArray[np.float64]) -> NDArray[np.float64]:
    """So that each class that occurs weighs alike, 1 on average."""
    return support.sum() / (np.maximum(support, 1) * np.count_nonzero(support))


def _macro_f1(predictions: Predictions) -> float:
    """Mean F1 of the classes that occur among labels or predictions."""
    total = predictions.support + predictions.calls
    return (2 * predictions.hits / total)[total > 0].mean().item()


def _nll(predictions: Predictions) -> float:
    """Mean negative log-likelihood of the labels in nats, probabilities cut off at `SMALLEST`."""
    of_label = predictions.probabilities.gather(1, predictions.labels[:, None])
    return -of_label.clamp(min=SMALLEST).log().mean().item()


def _auroc(predictions: Predictions) -> float:
    """Area under the ROC curve: mean over classes, each against the rest.

    Of two classes that is the same number twice, as their probabilities have the sum 1.
    """
    areas = [auroc(scores, positive) for scores, positive in predictions.against_the_rest()]
    known = [area for area in areas if area is not None]
    return sum(known) / len(known) if known else 0.5


def _average_precision(predictions: Predictions) -> float:
    """Average precision: of two classes that of the second, of more the mean against the rest."""
    sides = predictions.against_the_rest()
    values = [average_precision(s, p) for s, p in (sides[1:] if len(sides) == 2 else sides)]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


METRICS = {
    "accuracy": Metric("accuracy", "%", _accuracy, worst=0.0, example_weights=np.ones_like),
    "balanced_accuracy": Metric(
        "balanced accuracy",
        "%",
        _balanced_accuracy,
        worst=0.0,
        example_weights=_balanced_weights,
    ),
    "macro_f1": Metric("macro F1", "%", _macro_f1, worst=0.0),
    "nll": Metric(
        "log-likelihood", "nats", _nll, worst=-math.log(SMALLEST), higher_is_better=False
    ),
    "auroc": Metric("AUROC", "%", _auroc, worst=0.0, no_mean=True),
    "average_precision": Metric(
        "average precision", "%", _average_precision, worst=0.0, no_mean=True
    ),
    "worst_class_recall": Metric(
        "worst-class recall", "%", _worst_class_recall, worst=0.0, no_mean=True
    ),
    "robust_accuracy": Metric(
        "robust accuracy", "%", _accuracy, worst=0.0, example_weights=np.ones_like, attacked=True
    ),
}


def shown_beside(metric: str, attacked: bool) -> list[str]:
    """What is shown beside the metric that is scored, by name.

    Under an attack, accuracy with it and without; else nothing: all are recorded.
    """
    wanted = [name for name, m in METRICS.items() if m.attacked or name == "accuracy"]
    return [name for name in wanted if attacked and name != metric]


def evaluate(
    probabilities: Tensor, labels: Tensor, attacked: Tensor | None = None
) -> dict[str, Any]:
    """All metrics of probabilities [n, K] against labels [n], as plain numbers; n >= 1.

    attacked: probabilities on perturbed inputs; without them, the metrics of these are left out.

    Beside `METRICS`: ece (expected calibration error of the predicted class, 15 bins of equal
    width, Guo et al., ICML 2017), per_class_accuracy [K] (recall; none where a class does not
    occur) and confusion (see `confusion_matrix`).
    """
    predictions = Predictions(probabilities, labels)
    perturbed = None if attacked is None else Predictions(attacked, labels)
    values = {
        name: metric.compute(of)
        for name, metric in METRICS.items()
        if (of := perturbed if metric.attacked else predictions)
    }
    recall, support = predictions.recall.tolist(), predictions.support.tolist()
    return {
        **values,
        "ece": _calibration_error(predictions),
        "per_class_accuracy": [r if n else None for r, n in zip(recall, support, strict=True)],
        "confusion": _confusion(predictions),
    }


def _confusion(predictions: Predictions) -> Confusion:
    classes = predictions.probabilities.shape[1]
    return stored_confusion(predictions.labels.numpy(), predictions.predicted.numpy(), classes)


def _calibration_error(predictions: Predictions) -> float:
    confidence, correct = predictions.confidence, predictions.predicted == predictions.labels
    bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1  # (0, 1/15], (1/15, 2/15], ...
    gap = bins.bincount(weights=confidence - correct.double(), minlength=BINS)
    return (gap.abs().sum() / len(confidence)).item()

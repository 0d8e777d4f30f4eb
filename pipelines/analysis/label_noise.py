"""How many labels are wrong where the truth is not known of most, and what is taken for what.

Of examples with a verified label it is counted. Confident counting goes by models' predictions
instead, of examples whose truth nobody knows. Matrices [K, K] have true classes as rows and given
labels as columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from pipelines.analysis.as_json import to_json
from pipelines.analysis.estimate_schema import MatrixJson, NoiseEstimate
from pipelines.analysis.intervals import t_intervals
from pipelines.analysis.runs import LEVEL, Floats
from pipelines.stored_predictions import DENSE

Interval = tuple[Floats, Floats, Floats]  # means, lower and upper ends, all of one shape


def counted(verified: ArrayLike) -> NoiseEstimate:
    """The estimate from counts [K, K] of examples whose verified and given labels are both known.

    With the exact interval of Clopper & Pearson (Biometrika 26, 1934), of the rate and of each
    entry of the transition matrix: they hold if the verified examples were drawn at random.
    """
    counts = np.asarray(verified)
    n = counts.sum()
    of_class = np.broadcast_to(counts.sum(axis=1, keepdims=True), counts.shape)
    return _told(
        int(n), share_interval(n - counts.trace(), n), share_interval(counts, of_class), len(counts)
    )


def share_interval(hits: ArrayLike, n: ArrayLike) -> Interval:
    """Shares hits / n and the ends of their Clopper-Pearson intervals; nan, 0 and 1 where n = 0."""
    hits, n = np.broadcast_arrays(np.asarray(hits, float), np.asarray(n, float))
    tail = (1 - LEVEL) / 2
    with np.errstate(invalid="ignore"):
        mean = np.where(n > 0, hits / n, np.nan)
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1), n - hits + 1, tail), 0.0)
    high = np.where(hits < n, betaincinv(hits + 1, np.maximum(n - hits, 1), 1 - tail), 1.0)
    return mean, low, high


def confident_counting(repeats: Sequence[tuple[Floats, NDArray[np.int64]]]) -> NoiseEstimate:
    """The estimate from probabilities [n, K] and given labels [n] of each repeat.

    The mean over repeats with the t interval over them. It says how much models differ, not how far
    they are wrong together: models that have learned wrong labels by heart count too few.
    """
    joints = np.stack([confident_joint(*repeat) for repeat in repeats])
    rates = 1 - joints.trace(axis1=1, axis2=2)
    totals = joints.sum(axis=2, keepdims=True)
    transitions = joints / np.where(totals > 0, totals, np.nan)
    examples = round(float(np.mean([len(labels) for _, labels in repeats])))
    return _told(examples, _over_repeats(rates), _over_repeats(transitions), joints.shape[1])


def confident_joint(probabilities: Floats, labels: NDArray[np.int64]) -> Floats:
    """The joint distribution [K, K] of true classes and given labels, by confident counting.

    An example of given label i counts for that class j of which its probability is the highest
    among those where it reaches the threshold t_j, the mean probability of j where j is given; and
    for none where it reaches no threshold. Each label's counts are then scaled to the share of
    examples that have it (Northcutt, Jiang & Chuang, "Confident Learning", JAIR 2021, section 3.1).

    probabilities: [n, K]; labels: [n], all of them known.
    """
    classes = probabilities.shape[1]
    given = np.bincount(labels, minlength=classes)
    own = np.bincount(labels, probabilities[np.arange(len(labels)), labels], classes)
    thresholds = np.where(given > 0, own / np.maximum(given, 1), np.inf)
    reaching = np.where(probabilities >= thresholds, probabilities, -1.0)
    counts_at_all = reaching.max(axis=1) >= 0
    cells = (reaching.argmax(axis=1) * classes + labels)[counts_at_all]
    counts = np.bincount(cells, minlength=classes**2).reshape(classes, classes).astype(float)
    # A label of which no example reaches a threshold counts as right: nothing speaks against it.
    empty = counts.sum(axis=0) == 0
    counts[empty, empty] = 1
    return counts / counts.sum(axis=0) * given / given.sum()


def _over_repeats(values: Floats) -> Interval:
    """Means of values [R, ...], and the ends of their t intervals within [0, 1]."""
    flat = values.reshape(len(values), -1)
    ends = [np.reshape(end, values.shape[1:]) for end in t_intervals(flat)]
    return values.mean(axis=0), np.maximum(ends[0], 0), np.minimum(ends[1], 1)


def _told(examples: int, rate: Interval, transition: Interval, classes: int) -> NoiseEstimate:
    matrix = [values.tolist() for values in transition]
    told: NoiseEstimate = {
        "examples": examples,
        "rate": {"mean": float(rate[0]), "low": float(rate[1]), "high": float(rate[2])},
        "transition": None,
    }
    if classes <= DENSE:
        told["transition"] = MatrixJson(mean=matrix[0], low=matrix[1], high=matrix[2])
    return to_json(told)

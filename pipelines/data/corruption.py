"""Label noise and class imbalance: pure functions of labels and a random generator.

A noise law is its transition matrix T [K, K], T[i, j] = P(label j is given | the label is i);
drawing the matrix and drawing labels from it are two steps, so that one law can corrupt several
splits. Names follow the literature where it is unambiguous: in `uniform` the given label may be the
true one again, in `symmetric` it may not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import UserError

Labels = NDArray[np.int64]
Matrix = NDArray[np.float64]
# truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog (Patrini et al., CVPR 2017)
CIFAR10_CONFUSIONS = {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}
FEWEST_CLASSES = {"symmetric": 2, "flip": 2, "flip2": 3}


def transition(kind: str, classes: int, rate: float, rng: np.random.Generator) -> Matrix:
    """Transition matrix [K, K] of a kind of noise.

    kind: as `noise.kind` of a study. classes: their number K. rate: nominal, in [0, 1]. rng: used
    by `flip` and `flip2` only; it draws which class each class turns into.

    Raises:
        UserError: the kind is not defined for that number of classes.
    """
    if classes < (fewest := FEWEST_CLASSES.get(kind, 1)):
        raise UserError(
            f"noise.kind = {kind!r}: needs at least {fewest} classes, the data has {classes}"
        )
    keep = (1 - rate) * np.eye(classes)
    match kind:
        case "none":
            return np.eye(classes)
        case "uniform":
            return keep + rate / classes
        case "symmetric":
            return keep + rate / (classes - 1) * (1 - np.eye(classes))
        case "asymmetric":
            return _asymmetric(classes, rate)
        case "flip":
            return keep + rate * _other_classes(classes, 1, rng)
        case "flip2":
            return keep + rate / 2 * _other_classes(classes, 2, rng)
    raise ValueError(f"unknown kind of noise {kind!r}")


def _asymmetric(classes: int, rate: float) -> Matrix:
    if classes != 10:
        raise UserError(
            f"noise.kind = 'asymmetric': maps the ten classes of CIFAR-10, "
            f"the data has {classes}; use flip or flip2 instead"
        )
    matrix = np.eye(classes)
    for source, target in CIFAR10_CONFUSIONS.items():
        matrix[source, source], matrix[source, target] = 1 - rate, rate
    return matrix


def _other_classes(classes: int, number: int, rng: np.random.Generator) -> Matrix:
    """0/1 matrix [K, K] with `number` ones in each row, none of them on the diagonal."""
    chosen = np.zeros((classes, classes))
    for source in range(classes):
        # drawn from the K - 1 other classes, then the gap at the class itself is closed
        targets = rng.choice(classes - 1, size=number, replace=False)
        chosen[source, targets + (targets >= source)] = 1
    return chosen


def corrupt(labels: Labels, matrix: Matrix, rng: np.random.Generator) -> Labels:
    """Draw a label for each of labels [n], independently, from its row of the matrix [K, K]."""
    cumulative = matrix.cumsum(axis=1)
    cumulative[:, -1] = 1.0  # rounding must not leave a gap at the top
    return (rng.random(len(labels))[:, None] >= cumulative[labels]).sum(axis=1, dtype=np.int64)


def class_sizes(kind: str, counts: NDArray[np.int64], factor: float) -> NDArray[np.int64]:
    """Sizes [K] of the classes after thinning, given how many examples each has.

    `exponential`: n_c = floor(n_max * factor ** (-c / (K - 1)))        (Cui et al., CVPR 2019)
    `step`: n_max for the first half of the classes, floor(n_max / factor) for the others

    n_max is the largest for which every class has enough examples, so that the profile is exact.
    With equally frequent classes, as in CIFAR, that is the size of a class.
    """
    position = np.arange(len(counts))
    match kind:
        case "none":
            return counts
        case "exponential":
            share = factor ** (-position / max(len(counts) - 1, 1))
        case "step":
            share = np.where(position < len(counts) / 2, 1.0, 1 / factor)
        case _:
            raise ValueError(f"unknown kind of imbalance {kind!r}")
    n_max = np.floor((counts / share).min() + 1e-9)
    return np.floor(n_max * share + 1e-9).astype(np.int64)  # 50 must not become 49 by rounding


def thin(labels: Labels, sizes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions, rising, of a random subset of labels [n] with sizes [K] examples of each class."""
    order = rng.permutation(len(labels))
    kept = [order[labels[order] == c][:size] for c, size in enumerate(sizes)]
    return np.sort(np.concatenate(kept))

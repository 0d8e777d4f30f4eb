"""Label noise and class imbalance: pure functions of labels and a random generator.

A noise law is its transition matrix T [K, K], T[i, j] = P(label j is given | the label is i);
drawing the matrix and drawing labels from it are two steps, so that one law can corrupt several
splits. Names follow the literature where it is unambiguous: in `uniform` the given label may be the
true one again, in `symmetric` it may not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.data.dataset import class_codes, preview
from pipelines.data.known_classes import confusions_of, groups_of
from pipelines.errors import UserError
from pipelines.study.label_corruption import Noise

Labels = NDArray[np.int64]
Matrix = NDArray[np.float64]
FEWEST_CLASSES = {"symmetric": 2, "flip": 2, "flip2": 3, "pair": 2}


def transition(noise: Noise, classes: Sequence[str], rng: np.random.Generator) -> Matrix:
    """Transition matrix [K, K] of a study's noise.

    classes: their K names. rng: draws which class each class turns into in `flip` and `flip2`, and
    the background class where none is given.

    Raises:
        UserError: the kind is not defined for those classes.
    """
    kind, rate, number = noise.kind, noise.rate, len(classes)
    if number < (fewest := FEWEST_CLASSES.get(kind, 1)):
        raise UserError(
            f"noise.kind = {kind!r}: needs at least {fewest} classes, the data has {number}"
        )
    keep = (1 - rate) * np.eye(number)
    match kind:
        case "none":
            law = np.eye(number)
        case "uniform":
            law = keep + rate / number
        case "symmetric":
            law = keep + rate / (number - 1) * (1 - np.eye(number))
        case "flip":
            law = keep + rate * _other_classes(number, 1, rng)
        case "flip2":
            law = keep + rate / 2 * _other_classes(number, 2, rng)
        case "pair":
            law = _turned((np.arange(number) + 1) % number, rate)
        case "background":
            law = _turned(np.full(number, _background(noise, classes, rng)), rate)
        case "asymmetric":
            law = _turned(_asymmetric(noise, classes), rate)
        case "hierarchical":
            law = keep + rate * _within_groups(noise, classes)
    return law


def _turned(targets: Labels, rate: float) -> Matrix:
    """Each class turns into its target [K] at a rate; one that is its own stays, exactly."""
    matrix = np.eye(len(targets))
    for source in np.flatnonzero(targets != np.arange(len(targets))):
        matrix[source, source], matrix[source, targets[source]] = 1 - rate, rate
    return matrix


def _background(noise: Noise, classes: Sequence[str], rng: np.random.Generator) -> int:
    """The class that all classes turn into."""
    if noise.background is None:
        return int(rng.integers(len(classes)))
    return _number("background", noise.background, classes)


def _asymmetric(noise: Noise, classes: Sequence[str]) -> Labels:
    """The class [K] that each turns into, its own where it stays."""
    targets = np.arange(len(classes))
    if noise.map is None and (groups := _groups(noise, classes)):
        for group in groups:
            targets[group] = np.roll(group, -1)
        return targets
    confusions = noise.map or confusions_of(classes)
    if confusions is None:
        raise UserError(
            "noise.kind = 'asymmetric': which class turns into which is known of CIFAR-10, "
            f"CIFAR-100 and MNIST, by the names of their classes; these are {preview(classes)}: "
            "give noise.map, {class: class}, or noise.groups"
        )
    for source, target in confusions.items():
        targets[_number("map", source, classes)] = _number("map", target, classes)
    return targets


def _within_groups(noise: Noise, classes: Sequence[str]) -> Matrix:
    """Rows [K, K]: the other classes of the same group, each alike."""
    groups = _groups(noise, classes)
    if groups is None:
        raise UserError(
            "noise.kind = 'hierarchical': superclasses are known of CIFAR-100, by the names of its "
            f"classes; these are {preview(classes)}: give noise.groups, lists of classes"
        )
    others = np.zeros((len(classes), len(classes)))
    for group in groups:
        others[np.ix_(group, group)] = (1 - np.eye(len(group))) / (len(group) - 1)
    return others


def _groups(noise: Noise, classes: Sequence[str]) -> list[list[int]] | None:
    """Numbers of the classes of each group, which hold every class once; None: nobody knows."""
    named = noise.groups or groups_of(classes)
    if named is None:
        return None
    groups = [[_number("groups", name, classes) for name in group] for group in named]
    times = np.bincount([number for group in groups for number in group], minlength=len(classes))
    if (times != 1).any():
        wrong = (times != 1).argmax()
        raise UserError(
            f"noise.groups: class {classes[wrong]!r} is in {times[wrong]} of them, must be in one"
        )
    return groups


def _number(option: str, name: str, classes: Sequence[str]) -> int:
    codes = class_codes(classes)
    if name not in codes:
        raise UserError(f"noise.{option}: {name!r} is no class; allowed are {preview(classes)}")
    return codes[name]


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

"""Four disjoint splits of a data set, and the thinning of the training split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.data.corruption import class_sizes, thin
from pipelines.data.dataset import Dataset
from pipelines.errors import UserError
from pipelines.study.label_corruption import Imbalance
from pipelines.study.protocol import Splits

Rows = NDArray[np.int64]


def keyed_rng(seed: int, purpose: str) -> np.random.Generator:
    """A stream of random numbers of its own for each purpose, so that none shifts another."""
    return np.random.default_rng([seed, *purpose.encode()])


def split_rows(dataset: Dataset, splits: Splits, seed: int, data_seed: int) -> dict[str, Rows]:
    """Rows, rising, of train, meta, val, test and unlabelled: disjoint, stratified by true label.

    meta, val and test come from examples whose true label is known, train is what is left and has a
    label, `unlabelled` (where there are any) what is left and has none. val is drawn before meta,
    so that neither test nor val changes with the size of meta, and smaller meta sets lie within
    larger ones. `splits.meta_classes` says how often meta has each class.

    splits: sizes. seed: the study's, draws test. data_seed: draws val and meta.

    Raises:
        UserError: there are too few examples, of a class or in all.
    """
    known = dataset.truth >= 0
    test = _test_rows(dataset, splits.test, seed)
    free = ~dataset.in_own_test  # a row of the source's own test set is never trained on
    free[test] = False
    drawn = {"val": np.zeros(0, np.int64)}
    for name, size in (("val", splits.val), ("meta", splits.meta)):
        if not size:
            continue
        candidates, rng = np.flatnonzero(free & known), keyed_rng(data_seed, name)
        equal = name == "meta" and splits.meta_classes == "equal"
        drawn[name] = _stratified(dataset, candidates, size, name, rng, equal)
        free[drawn[name]] = False
    labelled = dataset.observed >= 0
    train, unlabelled = np.flatnonzero(free & labelled), np.flatnonzero(free & ~labelled)
    rows = {"train": train, "meta": drawn["meta"], "val": drawn["val"], "test": test}
    return rows | ({"unlabelled": unlabelled} if len(unlabelled) else {})


def _test_rows(dataset: Dataset, size: int | None, seed: int) -> Rows:
    """The source's own test set or a sample of it; a sample of everything if there is none."""
    known, rng = dataset.truth >= 0, keyed_rng(seed, "test")
    if dataset.test is None and size is None:
        raise UserError("splits.test: this source has no test set of its own, a number is needed")
    candidates = np.flatnonzero(known if dataset.test is None else dataset.test & known)
    if not len(candidates) and dataset.test is not None:
        raise UserError(
            f"data.trusted: none of the {dataset.test.sum()} examples in the source's own test set "
            "has a known true label; name some of them"
        )
    return candidates if size is None else _stratified(dataset, candidates, size, "test", rng)


def _stratified(
    dataset: Dataset,
    candidates: Rows,
    size: int,
    name: str,
    rng: np.random.Generator,
    equal: bool = False,
) -> Rows:
    """A random sample in which classes are as frequent as in the candidates, at least one each.

    name: of the split, for errors. equal: classes are equally frequent, but for those of which that
    would be more than half of the candidates: it stays at half, and the others have more.
    """
    truth, classes = dataset.truth[candidates], len(dataset.classes)
    counts = np.bincount(truth, minlength=classes)
    if not counts.all():
        raise UserError(
            f"class {dataset.classes[counts.argmin()]!r}: no example with a known true label "
            f"is left for splits.{name} = {size}"
        )
    most = np.maximum(counts // 2, 1) if equal else counts
    if not classes <= size <= most.sum():
        left = "half of what is left of each class" if equal else "what is left"
        raise UserError(
            f"splits.{name} = {size}: must be between {classes} (one per class) "
            f"and {most.sum()} ({left})"
        )
    # One of each class, then each next place goes to the class that is furthest below its share.
    sizes = np.ones(classes, np.int64)
    share = np.full(classes, size / classes) if equal else size * counts / len(candidates)
    while sizes.sum() < size:
        sizes[np.where(sizes < most, share - sizes, -np.inf).argmax()] += 1
    return np.sort(candidates[thin(truth, sizes, rng)])


def thin_train(
    dataset: Dataset, train: Rows, imbalance: Imbalance, splits: Splits, data_seed: int
) -> Rows:
    """The training rows that imbalance leaves, by what is known of their class.

    train: rows of the training split. splits: for the error alone.

    Raises:
        UserError: a class would have none.
    """
    likely = dataset.likely
    counts = np.bincount(likely[train], minlength=len(dataset.classes))
    sizes = class_sizes(imbalance.kind, counts, imbalance.factor)
    if not sizes.all():
        empty = sizes.argmin()
        raise UserError(
            f"class {dataset.classes[empty]!r}: no training example is left of "
            f"{(likely == empty).sum()} after splits.meta = {splits.meta}, val = {splits.val}, "
            f"test = {splits.test} and imbalance.factor = {imbalance.factor:g}"
        )
    return train[thin(likely[train], sizes, keyed_rng(data_seed, "imbalance"))]


def hide_labels(dataset: Dataset, train: Rows, number: int, data_seed: int) -> tuple[Rows, Rows]:
    """The training rows that keep their label, and `number` of them that lose it; both rising.

    Drawn from all alike, whatever their label; so of fewer ones the larger draw has them, too.

    Raises:
        UserError: a class would have no label left.
    """
    order = keyed_rng(data_seed, "unlabelled").permutation(train)
    kept, hidden = np.sort(order[number:]), np.sort(order[:number])
    counts = np.bincount(dataset.likely[kept], minlength=len(dataset.classes))
    if number > len(train) or not counts.all():
        raise UserError(
            f"splits.unlabelled = {number}: of the {len(train)} training examples none of class "
            f"{dataset.classes[counts.argmin()]!r} would keep its label"
        )
    return kept, hidden

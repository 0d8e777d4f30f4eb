"""Four disjoint splits of a data set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.data.corruption import class_sizes, thin
from pipelines.data.dataset import Dataset
from pipelines.errors import UserError
from pipelines.study.protocol import Protocol, Splits

Rows = NDArray[np.int64]


def split_rows(dataset: Dataset, splits: Splits, seed: int, data_seed: int) -> dict[str, Rows]:
    """Rows, rising, of train, meta, val and test: disjoint, stratified by true label.

    meta, val and test come from examples whose true label is known, train is what is left. val is
    drawn before meta, so that neither test nor val changes with the size of meta, and smaller meta
    sets lie within larger ones.
    """
    known = dataset.truth >= 0
    if dataset.test is None:
        if splits.test is None:
            raise UserError(
                "splits.test: this source has no test set of its own, a number is needed"
            )
        own = np.zeros(len(known), bool)
        test = _draw(dataset, np.flatnonzero(known), splits.test, "test", _rng(seed, "test"))
    else:
        own = dataset.test
        test = np.flatnonzero(own & known)
        if splits.test is not None:
            test = _draw(dataset, test, splits.test, "test", _rng(seed, "test"))
        if not len(test):
            raise UserError(
                f"data.trusted: none of the {own.sum()} examples in the source's own test set "
                "has a known true label; name some of them"
            )
    free = ~own
    free[test] = False
    rows = {}
    for name, size in (("val", splits.val), ("meta", splits.meta)):
        rows[name] = _draw(dataset, np.flatnonzero(free & known), size, name, _rng(data_seed, name))
        free[rows[name]] = False
    return {"train": np.flatnonzero(free), "meta": rows["meta"], "val": rows["val"], "test": test}


def _draw(
    dataset: Dataset, candidates: Rows, size: int, name: str, rng: np.random.Generator
) -> Rows:
    """A random sample in which classes are as frequent as in the candidates, at least one each."""
    truth, classes = dataset.truth[candidates], len(dataset.classes)
    counts = np.bincount(truth, minlength=classes)
    if not counts.all():
        raise UserError(
            f"class {dataset.classes[counts.argmin()]!r}: no example with a known true label "
            f"is left for splits.{name} = {size}"
        )
    if not classes <= size <= len(candidates):
        raise UserError(
            f"splits.{name} = {size}: must be between {classes} (one per class) "
            f"and {len(candidates)} (what is left)"
        )
    given, share = np.ones(classes, np.int64), size * counts / len(candidates)
    while given.sum() < size:
        given[(share - given).argmax()] += 1
    return np.sort(candidates[thin(truth, given, rng)])


def _thin_train(
    train: Rows, likely: Rows, dataset: Dataset, protocol: Protocol, data_seed: int
) -> Rows:
    """The training rows that imbalance leaves; every class must have one."""
    counts = np.bincount(likely[train], minlength=len(dataset.classes))
    sizes = class_sizes(protocol.imbalance.kind, counts, protocol.imbalance.factor)
    if not sizes.all():
        s, c = protocol.splits, sizes.argmin()
        raise UserError(
            f"class {dataset.classes[c]!r}: no training example is left of {(likely == c).sum()} "
            f"after splits.meta = {s.meta}, val = {s.val}, test = {s.test} "
            f"and imbalance.factor = {protocol.imbalance.factor:g}"
        )
    return train[thin(likely[train], sizes, _rng(data_seed, "imbalance"))]


def _rng(seed: int, purpose: str) -> np.random.Generator:
    """A stream of random numbers of its own for each purpose, so that none shifts another."""
    return np.random.default_rng([seed, *purpose.encode()])

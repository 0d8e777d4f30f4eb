"""A data set in memory: what every source turns into."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import UserError


@dataclass(frozen=True)
class Dataset:
    """Examples, in memory or memory-mapped, and what is known of their labels.

    x [N, C, H, W] uint8 images or [N, D] float32 rows of a table; observed [N] int64, the labels as
    given; truth [N] int64, the true labels, -1 where unknown; test [N] bool, the source's own test
    set, if it has one; classes, the names of the labels; names, what a labels file calls the
    examples: a path, or a row number from 0; fingerprint, SHA-256 of values and labels, wherever
    they were read from.
    """

    x: NDArray[Any]
    observed: NDArray[np.int64]
    truth: NDArray[np.int64]
    test: NDArray[np.bool_] | None
    classes: list[str]
    names: list[str]
    fingerprint: str

    @property
    def in_own_test(self) -> NDArray[np.bool_]:
        """Whether an example is in the source's own test set, [N]."""
        return np.zeros(len(self.x), bool) if self.test is None else self.test.copy()

    @property
    def likely(self) -> NDArray[np.int64]:
        """The true label where it is known, else the observed one, [N]."""
        return np.where(self.truth >= 0, self.truth, self.observed)


def make_dataset(
    origin: str,
    x: Any,
    y: Any,
    *,
    truth: Any = None,
    test: Any = None,
    classes: Iterable[Any] | None = None,
    names: Iterable[str] | None = None,
) -> Dataset:
    """Check arrays and complete them to a Dataset.

    origin: names them in errors. x: as in Dataset, grey images also as [N, H, W], tables of any
    real type. y: [N] names of classes, or whole numbers, which are positions in `classes` if these
    are given. truth: like y, -1 where unknown; by default y. test: [N], whether an example is in
    the source's own test set. classes: names, in the order of their numbers; by default the
    different values of y, sorted. names: what a labels file calls the examples; by default their
    row numbers.

    Raises:
        UserError: a shape, type or value that does not fit.
    """
    x, y = _check_inputs(origin, np.asarray(x)), np.asarray(y)
    columns = {"y": y, "truth": truth, "test": test, "names": names}
    for name, column in columns.items():
        if column is not None and np.shape(column) != (len(x),):
            raise UserError(
                f"{origin}: {name} has shape {np.shape(column)}, x has {len(x)} examples"
            )
    if y.dtype.kind == "f" and (y == np.floor(y)).all():
        y = y.astype(np.int64)
    if y.dtype.kind not in "iubUO":
        raise UserError(
            f"{origin}: labels are class names or whole numbers, not {y.dtype} such as {y[0]}"
        )
    values = np.unique(y).tolist() if classes is None else list(classes)
    if classes is not None and y.dtype.kind in "iub":
        codes = {position: position for position in range(len(values))}
    else:
        codes = {value: position for position, value in enumerate(values)}
    if not 1 < len(set(values)) == len(values):
        raise UserError(
            f"{origin}: classes are {preview(values)}: needed are two or more, all different"
        )
    observed = _encode(origin, y, codes)
    return Dataset(
        x=x,
        observed=observed,
        truth=observed if truth is None else _encode(origin, np.asarray(truth), {-1: -1} | codes),
        test=None if test is None else np.asarray(test, bool),
        classes=[str(value) for value in values],
        names=[str(row) for row in range(len(x))] if names is None else list(names),
        fingerprint=_content_hash(x),
    )


def _content_hash(x: NDArray[Any]) -> str:
    content = hashlib.sha256(f"{x.dtype}{x.shape}".encode())
    content.update(np.ascontiguousarray(x).data)
    return content.hexdigest()


def _check_inputs(origin: str, x: NDArray[Any]) -> NDArray[Any]:
    if x.ndim == 2 and x.dtype.kind in "iufb":
        x = x.astype(np.float32)
        if not np.isfinite(x).all():
            row, column = np.argwhere(~np.isfinite(x))[0]
            raise UserError(
                f"{origin}: row {row}, feature {column} is {x[row, column]}: must be finite"
            )
        return x
    x = x[:, None] if x.ndim == 3 else x
    if x.ndim != 4 or x.dtype != np.uint8:
        raise UserError(
            f"{origin}: x is {x.dtype} {x.shape}: "
            "must be uint8 images [N, C, H, W] or a table of numbers [N, D]"
        )
    if x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        raise UserError(
            f"{origin}: images {x.shape} have channels last: pass x.transpose(0, 3, 1, 2)"
        )
    return x


def _encode(origin: str, labels: NDArray[Any], codes: dict[Any, int]) -> NDArray[np.int64]:
    try:
        return np.array([codes[label] for label in labels.tolist()], np.int64)
    except KeyError as unknown:
        row = labels.tolist().index(unknown.args[0])
        raise UserError(
            f"{origin}: row {row} has label {unknown}: allowed are {preview(codes)}"
        ) from None


def preview(values: Iterable[Any]) -> str:
    """The first of some values, for a message of one line."""
    texts = [str(value) for value in values]
    return ", ".join(texts[:12]) + (f", ... ({len(texts)} in all)" if len(texts) > 12 else "")

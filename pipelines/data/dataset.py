"""A data set in memory: what every source turns into."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.columns import Column
from pipelines.errors import UserError, one_line
from pipelines.study.encoders import Encoder

if TYPE_CHECKING:
    from pipelines.data.annotators import Answers

EXACT = 2**53  # up to here a float64 tells whole numbers apart


@dataclass(frozen=True)
class Encoding:
    """How features were made. encoder: as a study names it; shape: of an input, () of a text."""

    encoder: Encoder
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Dataset:
    """Examples, in memory or memory-mapped, and what is known of their labels.

    x [N, C, H, W] uint8 images or [N, D] float32 rows of a table; observed [N] int64, the labels as
    given, -1 where there is none; truth [N] int64, the true labels, -1 where unknown; test [N]
    bool, the source's own test set, if it has one; classes, the names of the labels; names, what a
    labels file calls the examples: a path, or a row number from 0; fingerprint, SHA-256 of values
    and labels, wherever they were read from; left_out, names of what could not be read, where a
    study allows it; set_aside, names of examples that the source keeps for validation, which are
    not used; columns, of a table, in the order of x, which is then [N, C] with nan in empty
    cells and features of texts, until it is converted (`conversion.Conversion`); encoding, of x
    that are features; soft [N, K], label distributions of several annotators, where these are
    trained on; verified [2, n], of trusted examples that had a label before, the verified one and
    that one; answers, of several annotators, where what one example's say is learned from the
    others'.
    """

    x: NDArray[Any]
    observed: NDArray[np.int64]
    truth: NDArray[np.int64]
    test: NDArray[np.bool_] | None
    classes: list[str]
    names: list[str]
    fingerprint: str
    left_out: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    encoding: Encoding | None = None
    verified: NDArray[np.int64] | None = None
    soft: NDArray[np.float32] | None = None
    answers: Answers | None = None

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
    are given; then -1 is no label. truth: like y, -1 where unknown; by default y. test: [N],
    whether an example is in the source's own test set. classes: names, in the order of their
    numbers; by default the different values of y, sorted. names: what a labels file calls the
    examples; by default their row numbers.

    Raises:
        UserError: a shape, type or value that does not fit.
    """
    x = _check_inputs(origin, _array(origin, "x", x))
    n = len(x)
    labels = _check_labels(origin, _column(origin, "y", y, n))
    values, codes = _classes(origin, labels, classes)
    observed = _encode(origin, "label", labels, codes)
    if truth is not None:
        truth = _whole_as_integers(_column(origin, "truth", truth, n))
        # A list of names with -1 among them is an array of text to numpy.
        truth = _encode(origin, "truth", truth, {-1: -1, "-1": -1} | codes)
    return Dataset(
        x=x,
        observed=observed,
        truth=observed if truth is None else truth,
        test=None if test is None else _check_test(origin, _column(origin, "test", test, n)),
        classes=values,
        names=_check_names(origin, names, n),
        fingerprint=content_hash(x),
    )


def with_texts(dataset: Dataset, texts: Sequence[str]) -> Dataset:
    """The data set with texts [N] as inputs, of which an encoder will make features."""
    content = hashlib.sha256()
    for text in texts:
        content.update(f"{len(text)} {text}".encode("utf-8", "surrogatepass"))
    return replace(dataset, x=np.array(texts, dtype=object), fingerprint=content.hexdigest())


def _array(origin: str, name: str, values: Any) -> NDArray[Any]:
    if np.ma.is_masked(values):  # numpy would take what lies under the mask
        raise UserError(f"{origin}: {name} has masked values: fill them, or leave their rows out")
    try:
        return np.asarray(values)
    except Exception as error:  # whatever a user's own object raises
        raise UserError(f"{origin}: {name} is no array: {one_line(error)}") from None


def _column(origin: str, name: str, values: Any, n: int) -> NDArray[Any]:
    column = _array(origin, name, values)
    if column.shape != (n,):
        raise UserError(f"{origin}: {name} has shape {column.shape}, x has {n} examples")
    return column


# ---- inputs


def _check_inputs(origin: str, x: NDArray[Any]) -> NDArray[Any]:
    if x.ndim == 2 and x.dtype.kind in "iufb":
        x = _check_table(origin, x)
    else:
        x = x[:, None] if x.ndim == 3 else x
        _check_images(origin, x)
    if not x.size:
        raise UserError(f"{origin}: x has shape {x.shape}: it holds no values")
    return x


def _check_table(origin: str, x: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # too large a number is infinite, which is refused
        values = x.astype(np.float32)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise UserError(
            f"{origin}: row {row}, feature {column} is {x[row, column]}: must be finite in float32"
        )
    return values


def _check_images(origin: str, x: NDArray[Any]) -> None:
    if x.ndim != 4 or x.dtype != np.uint8:
        raise UserError(
            f"{origin}: x is {x.dtype} {x.shape}: "
            "must be uint8 images [N, C, H, W] or a table of numbers [N, D]"
        )
    if x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        raise UserError(
            f"{origin}: images {x.shape} have channels last: pass x.transpose(0, 3, 1, 2)"
        )


def content_hash(x: NDArray[Any]) -> str:
    """SHA-256 of an array's type, shape and values."""
    content = hashlib.sha256(f"{x.dtype}{x.shape}".encode())
    content.update(np.ascontiguousarray(x).data)
    return content.hexdigest()


# ---- labels


def _whole_as_integers(labels: NDArray[Any]) -> NDArray[Any]:
    if labels.dtype.kind == "f" and ((abs(labels) <= EXACT) & (labels == np.floor(labels))).all():
        return labels.astype(np.int64)
    return labels


def _is_whole(label: Any) -> bool:
    return isinstance(label, float) and label.is_integer() and abs(label) <= EXACT


def _check_labels(origin: str, labels: NDArray[Any]) -> NDArray[Any]:
    """Labels [N] as text or as whole numbers: an array of one such type, or objects of one."""
    labels = _whole_as_integers(labels)
    if labels.dtype.kind in "iubU":
        return labels
    kinds = (str, (int, np.integer)) if labels.dtype.kind == "O" else ()
    if not any(all(isinstance(label, kind) for label in labels.tolist()) for kind in kinds):
        odd = [v for v in labels.tolist() if not isinstance(v, (str, int)) and not _is_whole(v)]
        raise UserError(
            f"{origin}: labels are class names or whole numbers, not {labels.dtype} such as "
            f"{preview(odd[:1] or labels[:1])}"
        )
    return labels


def _classes(
    origin: str, labels: NDArray[Any], classes: Iterable[Any] | None
) -> tuple[list[str], dict[Any, int]]:
    """Names of the classes, and the position of each by what y calls it: its name or position."""
    unordered = isinstance(classes, str | bytes | Mapping | Set)
    values = np.unique(labels).tolist() if classes is None else _list(origin, "classes", classes)
    names = [str(value) for value in values]
    if unordered or not all(isinstance(v, str | int | float | np.generic) for v in values):
        given = type(classes).__name__ if unordered else f"of {preview(names[:1])}"
        raise UserError(f"{origin}: classes must be a list of names, not {given}")
    if odd := [name for name in names if not _is_text(name)]:  # as of a folder in another encoding
        raise UserError(f"{origin}: class {odd[0]!r}: is no Unicode text, or has a NUL; rename it")
    if not 1 < len(set(names)) == len(names):
        raise UserError(
            f"{origin}: classes are {preview(names)}: needed are two or more, all different"
        )
    if classes is not None and labels.dtype.kind in "iub":
        return names, {position: position for position in range(-1, len(values))}
    return names, {key: position for position, key in enumerate(values)}


def _encode(
    origin: str, what: str, labels: NDArray[Any], codes: dict[Any, int]
) -> NDArray[np.int64]:
    """Positions of classes [N]; `what` they are, for errors."""
    try:
        return np.array([codes[label] for label in labels.tolist()], np.int64)
    except (KeyError, TypeError):  # TypeError: not even hashable
        known = set(codes)
        row, odd = next(
            (row, label)
            for row, label in enumerate(labels.tolist())
            if not isinstance(label, Hashable) or label not in known
        )
        raise UserError(
            f"{origin}: row {row} has {what} {odd!r}: allowed are {preview(codes)}"
        ) from None


def _check_test(origin: str, test: NDArray[Any]) -> NDArray[np.bool_]:
    flags = test.astype(bool) if test.dtype.kind in "biuf" else np.zeros(0, bool)
    if len(flags) != len(test) or (flags != test).any():
        raise UserError(f"{origin}: test must hold true or false for each example")
    return flags


def _check_names(origin: str, names: Iterable[str] | None, n: int) -> list[str]:
    given = range(n) if names is None else _list(origin, "names", names)
    if len(given) != n:
        raise UserError(f"{origin}: names has {len(given)} entries, x has {n} examples")
    return [str(name) for name in given]


def _list(origin: str, name: str, values: Iterable[Any]) -> list[Any]:
    try:
        return list(values)
    except Exception as error:  # whatever a user's own object raises
        raise UserError(f"{origin}: {name} is no list: {one_line(error)}") from None


def _is_text(name: str) -> bool:
    """Whether it can be written to a file, and read again as it was."""
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:
        return False


def class_codes(classes: Iterable[str]) -> dict[str, int]:
    """Numbers of classes by what a user may call them: their names, or else their numbers."""
    names = list(classes)
    codes = {str(number): number for number in range(len(names))}
    return codes | {name: number for number, name in enumerate(names)}


def preview(values: Iterable[Any], most: int = 12) -> str:
    """The first of some values, for a message of one line."""
    texts = [str(value) for value in values]
    return ", ".join(texts[:most]) + (f", ... ({len(texts)} in all)" if len(texts) > most else "")

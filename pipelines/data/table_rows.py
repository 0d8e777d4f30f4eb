"""What a table says of its rows: label, name, and the part of the data that a row is of."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.data.columns import WORDS, text_of, texts
from pipelines.data.dataset import Dataset, make_dataset, preview
from pipelines.data.table_file import Columns, as_written, read_columns
from pipelines.errors import UserError
from pipelines.study.protocol import Data

if TYPE_CHECKING:
    import pandas as pd

#: What pandas calls the index of a frame in the files that it writes, and on reading them again.
INDEX = re.compile(r"|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")
#: Cells of a column that says which part of the data a row is of, and the part; in any case.
PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"} | dict.fromkeys(
    ("val", "valid", "validation", "dev", "development"), "val"
)
#: Names of columns whose cells, yes or no, say whether a row is of a part.
PART_FLAG = re.compile(r"(?i)(?:is|in|for)[ _.-]?(?:train(?:ing)?|test(?:ing)?|validation|holdout)")


@dataclass(frozen=True)
class Examples:
    """The n rows of a table that are examples.

    columns: [n] each, by name. labels [n]: names of classes, or whole numbers. rows [n]: where they
    are in the file, from 0. names: [n]. test [n]: whether a row is for testing; None where no
    column says so. set_aside: names of the other rows, those of val.
    """

    columns: Columns
    labels: NDArray[Any]
    rows: NDArray[np.int64]
    names: list[str]
    test: NDArray[np.bool_] | None
    set_aside: list[str]


def read_examples(data: Data) -> Examples:
    """The rows of a file, but for those of val: they are left out, as a folder's val/ is.

    Raises:
        UserError: the file cannot be read, has no such columns, or cells that they cannot have.
    """
    columns = read_columns(data)
    check_column(data, "target", columns)
    for name in {data.target, data.names} & {*columns}:
        columns[name] = as_written(data, name, columns[name])
    names = np.array(_names(data, columns), object)
    parts = np.full(len(names), "train") if data.split is None else parts_of(data, columns)
    rows = np.flatnonzero(parts != "val")
    if len(rows) < len(names):
        columns = {name: column.take(pa.array(rows)) for name, column in columns.items()}
    return Examples(
        columns=columns,
        labels=_labels(data, columns[data.target]),
        rows=rows,
        names=names[rows].tolist(),
        test=None if data.split is None else parts[rows] == "test",
        set_aside=names[parts == "val"].tolist(),
    )


def as_dataset(data: Data, examples: Examples, x: NDArray[Any]) -> Dataset:
    """The examples with their inputs [n, ...]; raises as `make_dataset`."""
    dataset = make_dataset(
        str(data.path), x, examples.labels, test=examples.test, names=examples.names
    )
    return replace(dataset, set_aside=tuple(examples.set_aside))


def check_column(data: Data, key: str, columns: Columns) -> None:
    """Is there the column that a key of `data` names?

    Raises:
        UserError: there is not, or it is the label's.
    """
    name = getattr(data, key)
    if name not in columns:
        raise UserError(f"data.{key} = {name!r}: {data.path} has the columns {preview(columns)}")
    if name == data.target and key != "target":
        raise UserError(f"data.{key} = {name!r}: is the label's column, too")


def parts_of(data: Data, columns: Columns) -> NDArray[np.str_]:
    """Of each row of a file [N] the part of the data: train, test or val.

    Raises:
        UserError: a cell is none of them, or there are no rows of train or of test.
    """
    check_column(data, "split", columns)
    assert data.split
    cells = columns[data.split].to_pylist()
    parts = [PARTS.get((text_of(cell) or "").lower()) for cell in cells]
    if None in parts:
        row = parts.index(None)
        said = "empty" if text_of(cells[row]) is None else repr(cells[row])
        raise UserError(
            f"data.split = {data.split!r}: row {row} of {data.path} is {said}: allowed are "
            f"{', '.join(PARTS)}"
        )
    if missing := {"train", "test"} - {*parts}:
        raise UserError(
            f"data.split = {data.split!r}: no row of {data.path} is of {max(missing)}; without "
            "data.split, a test set is drawn"
        )
    return np.array(parts)


def is_part(cells: Collection[str | None]) -> bool:
    """Whether different cells of a column say which part of the data a row is of."""
    parts = {PARTS.get((cell or "").lower()) for cell in cells}
    return None not in parts and "train" in parts


def is_part_flag(name: str, cells: pd.Series) -> bool:
    """Whether a column says by its name and yes or no whether a row is of a part: `is_test`."""
    if not PART_FLAG.fullmatch(name):
        return False
    return {cell.lower() for cell in texts(cells) if cell is not None} <= set(WORDS)


def features_of(data: Data, columns: Columns) -> Columns:
    """The columns that say nothing else of a row, and are not dropped.

    Raises:
        UserError: there are none, or what is to be dropped is none of them.
    """
    for name in data.drop or ():
        if name not in columns or name == data.target:
            allowed = [column for column in columns if column != data.target]
            raise UserError(
                f"data.drop: {name!r} is no feature of {data.path}; it has {preview(allowed)}"
            )
    others = {data.target, data.split, data.names, *(data.drop or ())}
    features = {name: column for name, column in columns.items() if name not in others}
    if not features:
        raise UserError(f"{data.path}: has no column beside the target {data.target!r}")
    return features


def is_index(name: str, column: pa.ChunkedArray) -> bool:
    """Whether pandas gave the column its name, and no two of its numbers are equal."""
    if not INDEX.fullmatch(name) or not pa.types.is_integer(column.type):
        return False
    return len(column.unique()) == len(column)


def is_number(kind: pa.DataType) -> bool:
    """Whether cells are numbers, or true and false."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def check_filled(data: Data, name: str, column: pa.ChunkedArray) -> None:
    """Does every row have something in a column?

    Raises:
        UserError: one has not.
    """
    empty = column.null_count
    if is_text(column.type):  # there, what holds nothing, or only spaces, is no null
        empty += sum(text is not None and not text.strip() for text in column.to_pylist())
    if empty:
        raise UserError(f"{data.path}: column {name!r} has {empty} empty cells; fill them first")


def _labels(data: Data, column: pa.ChunkedArray) -> NDArray[Any]:
    """Labels [n]; raises where they are neither text nor numbers, or some are missing."""
    if pa.types.is_dictionary(column.type):  # pandas' categories
        column = column.cast(column.type.value_type)
    if not is_number(column.type) and not is_text(column.type):
        raise UserError(
            f"data.target = {data.target!r}: this column of {data.path} is {column.type}: labels "
            "are text or whole numbers"
        )
    check_filled(data, data.target, column)
    # As objects, since numpy's own text loses a NUL at its end.
    return np.asarray(column.to_pylist(), object if is_text(column.type) else None)


def _names(data: Data, columns: Columns) -> list[str]:
    """What the rows of a file are called [N]: by a column, else by their place."""
    if data.names is None:
        return list(map(str, range(len(columns[data.target]))))
    check_column(data, "names", columns)
    row_of: dict[str, int] = {}
    for row, cell in enumerate(columns[data.names].to_pylist()):
        name = text_of(cell)
        if name is None:
            raise UserError(f"data.names = {data.names!r}: row {row} of {data.path} is empty")
        if (first := row_of.setdefault(name, row)) != row:
            raise UserError(
                f"data.names = {data.names!r}: rows {first} and {row} of {data.path} are both "
                f"{name!r}; each example needs a name of its own"
            )
    return list(row_of)


def is_text(kind: pa.DataType) -> bool:
    """Whether cells are text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)

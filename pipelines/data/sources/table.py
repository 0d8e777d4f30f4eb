"""A table of numbers in a .csv or .parquet file; one column is the label."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv, parquet

from pipelines.data.dataset import Dataset, make_dataset, preview
from pipelines.data.source import FirstLook, Source
from pipelines.errors import UserError, one_line
from pipelines.study.protocol import Data

READERS = {".csv": csv.read_csv, ".parquet": parquet.read_table}
#: What pandas calls the index of a frame in the files that it writes, and on reading them again.
INDEX = re.compile(r"|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")

Columns = dict[str, pa.ChunkedArray]


def _read(data: Data, folder: Path) -> Dataset:
    assert data.path
    columns = _columns(data.path)
    features = _features(data, columns)
    if data.drop is None and (index := [n for n in features if _is_index(n, features[n])]):
        raise UserError(
            f"{data.path}: column {index[0]!r} is an index that was saved with the table, and no "
            f"feature: under data, `drop: [{index[0]!r}]` leaves it out, `drop: []` keeps it"
        )
    for name, column in features.items():
        if not _is_number(column.type):
            raise UserError(
                f"{data.path}: column {name!r} is {column.type}: features must be numbers"
            )
        _check_filled(data, name, column)
    with np.errstate(over="ignore"):  # too large a number is infinite, which is refused
        x = [column.to_numpy().astype(np.float32) for column in features.values()]
    target = _as_written(data.path, data.target, columns[data.target])
    return make_dataset(str(data.path), np.stack(x, axis=1), _labels(data, target))


def _look(data: Data) -> FirstLook:
    """The names of the features, without columns that only number the rows."""
    assert data.path
    features = _features(data, _columns(data.path))
    numbering = [n for n, c in features.items() if _is_index(n, c) or _numbers_rows(c)]
    used = [name for name in features if name not in numbering]
    notes = [("features", preview(used))]
    if numbering:
        notes.append(("left out", f"{preview(map(repr, numbering))}: numbers the rows"))
    return FirstLook({"drop": tuple(numbering)} if numbering else {}, notes=notes)


# ---- columns


def _columns(path: Path) -> Columns:
    """The columns of a file by name."""
    if path.suffix.lower() not in READERS:
        raise UserError(f"data.path = {str(path)!r}: a table is a {' or '.join(READERS)} file")
    try:
        table = READERS[path.suffix.lower()](path)
        columns = dict(zip(table.column_names, table.columns, strict=True))
    # A damaged file makes pyarrow raise whatever it happens to raise.
    except (Exception, MemoryError) as error:
        raise UserError(f"{path}: cannot be read: {one_line(error)}") from None
    if len(columns) < table.num_columns:
        raise UserError(f"{path}: two of the columns {preview(table.column_names)} share a name")
    return columns


def _features(data: Data, columns: Columns) -> Columns:
    """The columns that are neither the label nor dropped."""
    if data.target not in columns:
        raise UserError(
            f"data.target = {data.target!r}: {data.path} has the columns {preview(columns)}"
        )
    dropped = data.drop or ()
    for name in dropped:
        if name not in columns or name == data.target:
            allowed = [column for column in columns if column != data.target]
            raise UserError(
                f"data.drop: {name!r} is no feature of {data.path}; it has {preview(allowed)}"
            )
    features = {n: c for n, c in columns.items() if n != data.target and n not in dropped}
    if not features:
        raise UserError(f"{data.path}: has no column beside the target {data.target!r}")
    return features


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_index(name: str, column: pa.ChunkedArray) -> bool:
    """Whether pandas gave the column its name, and no two of its numbers are equal."""
    if not INDEX.fullmatch(name) or not pa.types.is_integer(column.type):
        return False
    return len(column.unique()) == len(column)


def _numbers_rows(column: pa.ChunkedArray) -> bool:
    """Whether a column holds n consecutive numbers, in any order."""
    if not pa.types.is_integer(column.type) or column.null_count or len(column) < 2:
        return False
    values = np.sort(column.to_numpy())
    return bool((np.diff(values) == 1).all())


def _check_filled(data: Data, name: str, column: pa.ChunkedArray) -> None:
    empty = column.null_count
    if _is_text(column.type):  # there, what holds nothing, or only spaces, is no null
        empty += sum(text is not None and not text.strip() for text in column.to_pylist())
    if empty:
        raise UserError(f"{data.path}: column {name!r} has {empty} empty cells; fill them first")


def _as_written(path: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of a CSV file as text, where its numbers are written in several ways: 1 and 001."""
    if path.suffix.lower() != ".csv" or not pa.types.is_integer(column.type):
        return column
    text = csv.ConvertOptions(include_columns=[name], column_types={name: pa.string()})
    written = csv.read_csv(path, convert_options=text)[name]
    numbers = map(str, column.to_pylist())
    plain = all(t.strip() == n for t, n in zip(written.to_pylist(), numbers, strict=True))
    return column if plain else written


def _labels(data: Data, column: pa.ChunkedArray) -> NDArray[np.generic]:
    if pa.types.is_dictionary(column.type):  # pandas' categories
        column = column.cast(column.type.value_type)
    if not _is_number(column.type) and not _is_text(column.type):
        raise UserError(
            f"data.target = {data.target!r}: this column of {data.path} is {column.type}: labels "
            "are text or whole numbers"
        )
    _check_filled(data, data.target, column)
    return np.asarray(column.to_pylist())


SOURCES = (
    Source(
        "table",
        _read,
        path="file",
        options=("target", "drop"),
        suffixes=tuple(READERS),
        look=_look,
    ),
)

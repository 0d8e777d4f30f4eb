"""A table of numbers in a .csv or .parquet file; one column is the label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv, parquet

from pipelines.data.dataset import Dataset, make_dataset, preview
from pipelines.data.source import Source
from pipelines.errors import UserError
from pipelines.study.protocol import Data

READERS = {".csv": csv.read_csv, ".parquet": parquet.read_table}


def _read(data: Data, folder: Path) -> Dataset:
    assert data.path
    columns = _columns(data.path)
    if data.target not in columns:
        raise UserError(
            f"data.target = {data.target!r}: {data.path} has the columns {preview(columns)}"
        )
    for name, column in columns.items():
        _check_column(data, name, column)
    y = np.asarray(columns.pop(data.target).to_pylist())
    if not columns:
        raise UserError(f"{data.path}: has no column beside the target {data.target!r}")
    return make_dataset(str(data.path), _features(columns), y)


def _columns(path: Path) -> dict[str, pa.ChunkedArray]:
    """The columns of a file by name."""
    if path.suffix.lower() not in READERS:
        raise UserError(f"data.path = {str(path)!r}: a table is a {' or '.join(READERS)} file")
    try:
        table = READERS[path.suffix.lower()](path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    columns = dict(zip(table.column_names, table.columns, strict=True))
    if len(columns) < table.num_columns:
        raise UserError(f"{path}: two of the columns {preview(table.column_names)} share a name")
    return columns


def _check_column(data: Data, name: str, column: pa.ChunkedArray) -> None:
    """Every cell is filled, and features are numbers."""
    is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if name != data.target and not (is_number or pa.types.is_boolean(column.type)):
        raise UserError(f"{data.path}: column {name!r} is {column.type}: features must be numbers")
    empty = column.null_count + _blank(column)
    if empty:
        raise UserError(f"{data.path}: column {name!r} has {empty} empty cells; fill them first")


def _blank(column: pa.ChunkedArray) -> int:
    """Cells of text that hold nothing, or only spaces: in text, these are no nulls."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return 0
    return sum(text is not None and not text.strip() for text in column.to_pylist())


def _features(columns: dict[str, pa.ChunkedArray]) -> NDArray[np.float32]:
    """Columns side by side, [N, D]."""
    with np.errstate(over="ignore"):  # too large a number is infinite, which is refused
        features = [column.to_numpy().astype(np.float32) for column in columns.values()]
    return np.stack(features, axis=1)


SOURCES = (Source("table", _read, path="file", options=("target",), suffixes=tuple(READERS)),)

"""A table in a file, whatever the file's format: its columns by name."""

from __future__ import annotations

import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import json, parquet

from pipelines.data.dataset import preview
from pipelines.data.delimited import (
    COMPRESSED,
    as_text,
    check_text,
    encoding_of,
    opened,
    read_table,
)
from pipelines.errors import UserError, one_line
from pipelines.study.protocol import Data

if TYPE_CHECKING:
    import pandas as pd

TEXT = (".csv", ".tsv")
LINES = (".jsonl", ".ndjson")  # JSON, an object a line
SUFFIXES = (*TEXT, *LINES, *(f"{suffix}{COMPRESSED}" for suffix in (*TEXT, *LINES)), ".parquet")

Columns = dict[str, pa.ChunkedArray]


def read_columns(data: Data) -> Columns:
    """The columns of a file by name.

    Raises:
        UserError: it cannot be read, or ends in none of the suffixes.
    """
    path = data.path
    assert path
    if not path.name.lower().endswith(SUFFIXES):
        raise UserError(
            f"data.path = {str(path)!r}: a table is a file that ends in {', '.join(SUFFIXES)}"
        )
    text = _is_delimited(path)
    try:
        table = _read_file(path, data.encoding)
        columns = dict(zip(table.column_names, table.columns, strict=True))
    # A damaged file makes gzip and pyarrow raise whatever they happen to raise.
    except (Exception, MemoryError) as error:
        if text:
            with suppress(OSError, EOFError, zlib.error):
                check_text(path, encoding_of(path, data.encoding))
        raise UserError(f"{path}: cannot be read: {one_line(error)}") from None
    if len(columns) < table.num_columns:
        raise UserError(f"{path}: two of the columns {preview(table.column_names)} share a name")
    if text and any(pa.types.is_binary(column.type) for column in columns.values()):
        check_text(path, encoding_of(path, data.encoding))
    return columns


def frame_of(columns: Columns) -> pd.DataFrame:
    """The same as a DataFrame."""
    import pandas as pd  # slow to import, and tables of numbers need none of it

    return pd.DataFrame({name: column.to_pandas() for name, column in columns.items()})


def read_frame(path: Path) -> pd.DataFrame:
    """The table in a file, as what a model predicts for.

    Raises:
        UserError: it cannot be read.
    """
    return frame_of(read_columns(Data(source="table", path=path)))


def as_written(data: Data, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as text, where that writes whole numbers in several ways: 1 and 001."""
    path = data.path
    assert path
    if not _is_delimited(path) or not pa.types.is_integer(column.type):
        return column
    written = as_text(path, name, data.encoding)
    numbers = map(str, column.to_pylist())
    plain = all(t.strip() == n for t, n in zip(written.to_pylist(), numbers, strict=True))
    return column if plain else written


def _is_delimited(path: Path) -> bool:
    return path.name.lower().removesuffix(COMPRESSED).endswith(TEXT)


def _read_file(path: Path, encoding: str | None) -> pa.Table:
    if _is_delimited(path):
        return read_table(path, encoding)
    if path.suffix.lower() == ".parquet":
        return parquet.read_table(path)
    with opened(path) as file:
        return json.read_json(file)

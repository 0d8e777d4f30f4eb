"""A table in a .csv or .parquet file, or JSON lines; one column is the label."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import json, parquet

from pipelines.data.columns import Column, column_of, parse
from pipelines.data.dataset import Dataset, content_hash, make_dataset, preview
from pipelines.data.delimited import as_text, check_text, encoding_of, read_table
from pipelines.data.proposal import propose
from pipelines.data.roles import guess_label, text_column
from pipelines.data.source import FirstLook, Source
from pipelines.errors import UserError, one_line
from pipelines.study.column_rules import rule_of
from pipelines.study.encoders import WORDS
from pipelines.study.protocol import Data

if TYPE_CHECKING:
    import pandas as pd

TEXT = (".csv", ".tsv")
LINES = (".jsonl", ".ndjson")  # JSON, an object a line
SUFFIXES = (*TEXT, ".parquet", *LINES)
#: What pandas calls the index of a frame in the files that it writes, and on reading them again.
INDEX = re.compile(r"|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")

Columns = dict[str, pa.ChunkedArray]


def _read(data: Data, folder: Path) -> Dataset:
    assert data.path
    table = read_columns(data)
    labels = labels_of(data, table)
    if data.columns is None:
        features = _plain_features(data, table)
        with np.errstate(over="ignore"):  # too large a number is infinite, which is refused
            x = [column.to_numpy().astype(np.float32) for column in features.values()]
        dataset = make_dataset(str(data.path), np.stack(x, axis=1), labels)
        return replace(dataset, columns=tuple(map(Column, features)))
    frame = _frame(_described(data, table))
    columns = [
        column_of(str(n), rule_of(data.columns[str(n)]), cells) for n, cells in frame.items()
    ]
    cells = parse(columns, frame, str(data.path))
    dataset = make_dataset(str(data.path), np.nan_to_num(cells), labels)
    return replace(dataset, x=cells, fingerprint=content_hash(cells), columns=tuple(columns))


def read_frame(path: Path) -> pd.DataFrame:
    """The table in a file, as what a model predicts for.

    Raises:
        UserError: it cannot be read.
    """
    return _frame(read_columns(Data(source="table", path=path)))


# ---- what `new` sees


def _look(data: Data) -> FirstLook:
    """What to do with each column; where that is to leave out what numbers the rows, `drop`.

    Or, where nothing but a column of texts could be a feature, that this is a source of texts.
    """
    assert data.path
    table = read_columns(data)
    data, notes = _with_label(data, table)
    features = _features(data, table)
    if text := text_column(_frame(features)):
        options = {"target": data.target, "text": text, "encoder": WORDS}
        told = f"column {text!r} alone; features by {WORDS!r}, or docs/data.md#texts-and-encoders"
        notes.append(("text", told))
        return FirstLook(options, notes=notes, source="text")
    own = {"target": data.target}
    numbering = [n for n, c in features.items() if _is_index(n, c) or _numbers_rows(c)]
    used = {name: column for name, column in features.items() if name not in numbering}
    if all(_is_number(c.type) and not c.null_count for c in used.values()):
        notes.append(("features", preview(used)))
        if numbering:
            notes.append(("left out", f"{preview(map(repr, numbering))}: numbers the rows"))
        return FirstLook(own | ({"drop": tuple(numbering)} if numbering else {}), notes=notes)
    frame = _frame(features)
    proposals = {str(name): propose(str(name), cells) for name, cells in frame.items()}
    rules = {name: proposal.rule for name, proposal in proposals.items()}
    counts = Counter(rule_of(rule).kind for rule in rules.values())
    if not set(counts) - {"drop"}:
        why = "; ".join(f"{name!r} ({proposals[name].why})" for name in list(rules)[:3])
        raise UserError(f"{data.path}: no column can be a feature: {why}")
    notes.append(("columns", ", ".join(f"{n} {kind}" for kind, n in counts.most_common())))
    reasons = {name: proposal.why for name, proposal in proposals.items()}
    return FirstLook(own | {"columns": rules}, notes=notes, reasons=reasons)


def _with_label(data: Data, table: Columns) -> tuple[Data, list[tuple[str, str]]]:
    """With the column that holds the label, where it has another name than was said; and a note."""
    guess = None if data.target in table else guess_label(_frame(table))
    if guess is None:
        return data, []
    note = f"column {guess!r}, a guess: --target names another one"
    return data.model_copy(update={"target": guess}), [("label", note)]


# ---- columns


def read_columns(data: Data) -> Columns:
    """The columns of a file by name.

    Raises:
        UserError: it cannot be read, or ends in none of the suffixes.
    """
    path = data.path
    assert path
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"data.path = {str(path)!r}: a table is a {' or '.join(SUFFIXES)} file")
    text = path.suffix.lower() in TEXT
    try:
        table = _read_file(path, data.encoding)
        columns = dict(zip(table.column_names, table.columns, strict=True))
    # A damaged file makes pyarrow raise whatever it happens to raise.
    except (Exception, MemoryError) as error:
        if text:
            check_text(path, encoding_of(path, data.encoding))
        raise UserError(f"{path}: cannot be read: {one_line(error)}") from None
    if len(columns) < table.num_columns:
        raise UserError(f"{path}: two of the columns {preview(table.column_names)} share a name")
    if text and any(pa.types.is_binary(column.type) for column in columns.values()):
        check_text(path, encoding_of(path, data.encoding))
    return columns


def _read_file(path: Path, encoding: str | None) -> pa.Table:
    suffix = path.suffix.lower()
    if suffix in TEXT:
        return read_table(path, encoding)
    return json.read_json(path) if suffix in LINES else parquet.read_table(path)


def _frame(columns: Columns) -> pd.DataFrame:
    import pandas as pd  # slow to import, and tables of numbers need none of it

    return pd.DataFrame({name: column.to_pandas() for name, column in columns.items()})


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


def _described(data: Data, table: Columns) -> Columns:
    """The columns that `data.columns` keeps: it must name each but the target, and no other."""
    assert data.columns is not None
    if data.drop is not None:
        raise UserError("data.drop and data.columns: give one; under columns, `NAME: drop` drops")
    features = _features(data, table)
    for name in data.columns:
        if name not in features:
            raise UserError(
                f"data.columns: {name!r} is no feature of {data.path}; it has {preview(features)}"
            )
    if missing := [name for name in features if name not in data.columns]:
        raise UserError(
            f"data.columns: {missing[0]!r} of {data.path} is not named: `drop` leaves it out"
        )
    kept = {n: c for n, c in features.items() if data.columns[n] != "drop"}
    if not kept:
        raise UserError(f"data.columns: all columns of {data.path} are dropped")
    return kept


def _plain_features(data: Data, table: Columns) -> Columns:
    """The features of a table of numbers.

    Raises:
        UserError: one is no number, has empty cells, or only numbers the rows.
    """
    features = _features(data, table)
    if data.drop is None and (index := [n for n in features if _is_index(n, features[n])]):
        raise UserError(
            f"{data.path}: column {index[0]!r} is an index that was saved with the table, and no "
            f"feature: under data, `drop: [{index[0]!r}]` leaves it out, `drop: []` keeps it"
        )
    for name, column in features.items():
        if not _is_number(column.type):
            raise UserError(
                f"{data.path}: column {name!r} is {column.type}: features must be numbers, unless "
                "data.columns says what is done with each column (`new` writes that)"
            )
        _check_filled(data, name, column)
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


def _as_written(data: Data, table: Columns) -> pa.ChunkedArray:
    """The labels; of a text file as text, where numbers are written in several ways: 1 and 001."""
    _features(data, table)  # there is a target
    column, path = table[data.target], data.path
    assert path
    if path.suffix.lower() not in TEXT or not pa.types.is_integer(column.type):
        return column
    written = as_text(path, data.target, data.encoding)
    numbers = map(str, column.to_pylist())
    plain = all(t.strip() == n for t, n in zip(written.to_pylist(), numbers, strict=True))
    return column if plain else written


def labels_of(data: Data, table: Columns) -> NDArray[np.generic]:
    """The labels [N], names of classes or whole numbers.

    Raises:
        UserError: there is no such column, or it holds anything else, or empty cells.
    """
    column = _as_written(data, table)
    if pa.types.is_dictionary(column.type):  # pandas' categories
        column = column.cast(column.type.value_type)
    if not _is_number(column.type) and not _is_text(column.type):
        raise UserError(
            f"data.target = {data.target!r}: this column of {data.path} is {column.type}: labels "
            "are text or whole numbers"
        )
    _check_filled(data, data.target, column)
    # As objects, since numpy's own text loses a NUL at its end.
    return np.asarray(column.to_pylist(), object if _is_text(column.type) else None)


def _example(data: Data) -> list[str]:
    path = str(data.path)
    if data.encoding is None:
        return [f"inputs = {path!r}"]
    how = f"encoding={data.encoding!r}, sep=None, engine='python'"
    return ["import pandas", f"inputs = pandas.read_csv({path!r}, {how})"]


SOURCES = (
    Source(
        "table",
        _read,
        path="file",
        options=("target", "drop", "columns", "encoding"),
        suffixes=SUFFIXES,
        look=_look,
        example=_example,
        decoding=2,
    ),
)

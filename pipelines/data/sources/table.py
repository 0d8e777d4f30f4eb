"""A table in a .csv or .parquet file, or JSON lines; one column is the label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.columns import Column, column_of, parse
from pipelines.data.dataset import Dataset, content_hash, preview, with_texts
from pipelines.data.source import Source
from pipelines.data.table_file import SUFFIXES, Columns, frame_of
from pipelines.data.table_look import look
from pipelines.data.table_rows import (
    Examples,
    as_dataset,
    check_filled,
    features_of,
    is_index,
    is_number,
    read_examples,
)
from pipelines.errors import UserError
from pipelines.study.column_rules import rule_of
from pipelines.study.protocol import Data


def _read(data: Data, folder: Path) -> Dataset:
    assert data.path
    examples = read_examples(data)
    if data.columns is not None:
        return _described(data, examples)
    features = _plain_features(data, examples.columns)
    with np.errstate(over="ignore"):  # too large a number is infinite, which is refused
        x = [column.to_numpy().astype(np.float32) for column in features.values()]
    return replace(
        as_dataset(data, examples, np.stack(x, axis=1)), columns=tuple(map(Column, features))
    )


# ---- columns that are described


def _described(data: Data, examples: Examples) -> Dataset:
    """The data set of a study that says what is done with each column."""
    assert data.columns is not None
    frame = frame_of(_kept(data, examples.columns)).set_axis(examples.rows)
    columns = [
        column_of(str(n), rule_of(data.columns[str(n)]), cells) for n, cells in frame.items()
    ]
    of_texts: dict[str, Dataset] = {}

    def encode(column: Column, texts: list[str]) -> NDArray[np.float32]:
        from pipelines.data.encoding import encoded  # imports torch

        assert column.encoder is not None
        dataset = as_dataset(data, examples, np.zeros((len(texts), 1)))
        of_texts[column.name] = encoded(with_texts(dataset, texts), column.encoder)
        return of_texts[column.name].x

    cells = parse(columns, frame, str(data.path), encode)
    for place, column in enumerate(columns):
        if made := of_texts.get(column.name):
            columns[place] = replace(column, width=made.x.shape[1], content=made.fingerprint)
    dataset = as_dataset(data, examples, np.nan_to_num(cells))
    return replace(dataset, x=cells, fingerprint=content_hash(cells), columns=tuple(columns))


def _kept(data: Data, columns: Columns) -> Columns:
    """The columns that `data.columns` keeps: it must name each feature, and nothing else."""
    assert data.columns is not None
    if data.drop is not None:
        raise UserError("data.drop and data.columns: give one; under columns, `NAME: drop` drops")
    features = features_of(data, columns)
    for name, rule in data.columns.items():
        if name not in features and not (rule == "drop" and name in (data.split, data.names)):
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


# ---- columns of numbers


def _plain_features(data: Data, columns: Columns) -> Columns:
    """The features of a table of numbers.

    Raises:
        UserError: one is no number, has empty cells, or only numbers the rows.
    """
    features = features_of(data, columns)
    if data.drop is None and (index := [n for n in features if is_index(n, features[n])]):
        raise UserError(
            f"{data.path}: column {index[0]!r} is an index that was saved with the table, and no "
            f"feature: under data, `drop: [{index[0]!r}]` leaves it out, `drop: []` keeps it"
        )
    for name, column in features.items():
        if not is_number(column.type):
            raise UserError(
                f"{data.path}: column {name!r} is {column.type}: features must be numbers, unless "
                "data.columns says what is done with each column (`new` writes that)"
            )
        check_filled(data, name, column)
    return features


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
        options=("target", "split", "names", "drop", "columns", "encoding"),
        suffixes=SUFFIXES,
        look=look,
        example=_example,
        decoding=2,
    ),
)

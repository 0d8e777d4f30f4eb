"""Texts: a column of a .csv, .tsv or .parquet file, or of JSON lines; another one is the label."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipelines.data.dataset import Dataset, make_dataset, preview
from pipelines.data.source import Source
from pipelines.data.sources.table import Columns, labels_of, read_columns
from pipelines.errors import UserError
from pipelines.study.encoders import WORDS
from pipelines.study.protocol import Data

EXAMPLES = 2  # texts in the lines that `best` prints


def _read(data: Data, _folder: Path) -> Dataset:
    if data.encoder is None:
        raise UserError(
            f"data.encoder is missing: {data.path} holds texts, of which `encoder: {WORDS}` makes "
            "numbers, or {sentence_transformers: NAME}, or module:function"
        )
    table = read_columns(data)
    texts = _texts(data, table)
    dataset = make_dataset(str(data.path), np.zeros((len(texts), 1)), labels_of(data, table))
    content = hashlib.sha256()
    for text in texts:
        content.update(f"{len(text)} {text}".encode("utf-8", "surrogatepass"))
    return replace(dataset, x=np.array(texts, dtype=object), fingerprint=content.hexdigest())


def _texts(data: Data, columns: Columns) -> list[str]:
    """The texts of a file.

    Raises:
        UserError: there is no such column, or it holds anything else, or nothing.
    """
    if data.text not in columns:
        raise UserError(
            f"data.text = {data.text!r}: {data.path} has the columns {preview(columns)}"
        )
    if data.text == data.target:
        raise UserError(f"data.text = {data.text!r}: is the label's column, too")
    texts = columns[data.text].to_pylist()
    for row, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"{data.path}: row {row} of column {data.text!r} is {text!r}: no text")
    return texts


def _example(data: Data) -> list[str]:
    return [f"inputs = {_texts(data, read_columns(data))[:EXAMPLES]!r}"]


SOURCES = (
    Source(
        "text",
        _read,
        path="file",
        options=("text", "target", "encoding"),
        example=_example,
        cached=False,
    ),
)

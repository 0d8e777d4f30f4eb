"""Texts: a column of a .csv, .tsv or .parquet file, or of JSON lines; another one is the label."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.data.dataset import Dataset, with_texts
from pipelines.data.source import Source
from pipelines.data.table_rows import Examples, as_dataset, check_column, read_examples
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
    examples = read_examples(data)
    texts, unused = _texts(data, examples), np.zeros((len(examples.rows), 1))
    return with_texts(as_dataset(data, examples, unused), texts)


def _texts(data: Data, examples: Examples) -> list[str]:
    """The texts of a file.

    Raises:
        UserError: there is no such column, or it holds anything else, or nothing.
    """
    check_column(data, "text", examples.columns)
    texts = examples.columns[data.text].to_pylist()
    for row, text in zip(examples.rows.tolist(), texts, strict=True):
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"{data.path}: row {row} of column {data.text!r} is {text!r}: no text")
    return texts


def _example(data: Data) -> list[str]:
    return [f"inputs = {_texts(data, read_examples(data))[:EXAMPLES]!r}"]


SOURCES = (
    Source(
        "text",
        _read,
        path="file",
        options=("text", "target", "split", "names", "encoding"),
        example=_example,
        cached=False,
    ),
)

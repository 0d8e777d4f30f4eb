"""Labels files: which label an example has by whom."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pipelines.data.dataset import Dataset, preview
from pipelines.errors import UserError
from pipelines.study.protocol import LabelsFile


def read_labels(labels: LabelsFile, dataset: Dataset) -> tuple[list[int], list[int]]:
    """Rows of the data set that a labels file names, and the label it gives to each.

    A path may leave out train/; a label may be the number of a class, unless that is a class's
    name.

    Raises:
        UserError: the file cannot be read, or a line of it names no example or no class.
    """
    rows = {name.removeprefix("train/"): row for row, name in enumerate(dataset.names)}
    rows |= {name: row for row, name in enumerate(dataset.names)}
    codes = {str(number): number for number in range(len(dataset.classes))}
    codes |= {name: number for number, name in enumerate(dataset.classes)}
    given: dict[int, int] = {}
    for line, path, label in _lines(labels):
        origin = f"{labels.file}, line {line}"
        row = rows.get(str(PurePosixPath(path)))
        if row is None:
            example = dataset.names[0]
            raise UserError(f"{origin}: {path!r} names no example; names are like {example!r}")
        if row in given:
            raise UserError(f"{origin}: {path!r} occurs twice")
        if label not in codes:
            raise UserError(f"{origin}: label {label!r}: allowed are {preview(dataset.classes)}")
        given[row] = codes[label]
    if not given:
        raise UserError(f"{labels.file}: names no example")
    return list(given), list(given.values())


def _lines(labels: LabelsFile) -> Iterator[tuple[int, str, str]]:
    """Line number, example and label of each line."""
    try:
        with labels.file.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            for column in (labels.path, labels.label):
                if column not in columns:
                    raise UserError(
                        f"{labels.file}: no column {column!r}; it has {preview(columns)}"
                    )
            for line in reader:
                values = (line[labels.path] or "", line[labels.label] or "")
                yield reader.line_num, values[0].strip(), values[1].strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{labels.file}: cannot be read: {error}") from None


def guess_columns(file: Path) -> LabelsFile:
    """A labels file whose label column is `label`, else the last one.

    Raises:
        UserError: the file cannot be read, or has no column `path` or none beside it.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            columns = next(csv.reader(stream), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read: {error}") from None
    others = [column for column in columns if column != "path"]
    if "path" not in columns or not others:
        raise UserError(
            f"{file}: needs a column 'path' and one of labels; it has {preview(columns) or 'none'}"
        )
    return LabelsFile(file=file, path="path", label="label" if "label" in others else others[-1])

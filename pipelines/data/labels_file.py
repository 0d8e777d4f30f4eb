"""Labels files: which label an example has by whom."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pipelines.data.dataset import Dataset, preview
from pipelines.data.paths import is_there
from pipelines.errors import UserError, one_line
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
    number = Counter(dataset.names)  # those of a user's own function may be called anything
    codes = {str(number): number for number in range(len(dataset.classes))}
    codes |= {name: number for number, name in enumerate(dataset.classes)}
    given: dict[int, int] = {}
    for line, path, label in _lines(labels):
        origin = f"{labels.file}, line {line}"
        row = rows.get(PurePosixPath(path).as_posix())
        if row is None:
            example = dataset.names[0]
            raise UserError(f"{origin}: {path!r} names no example; names are like {example!r}")
        if number[dataset.names[row]] > 1:
            raise UserError(f"{origin}: {path!r} names {number[dataset.names[row]]} examples")
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
    lines = _records(labels.file)
    _, columns = next(lines, (0, []))
    positions = []
    for column in (labels.path, labels.label):
        if columns.count(column) != 1:
            problem = "two columns" if column in columns else "no column"
            raise UserError(
                f"{labels.file}: {problem} {column!r}; it has {preview(columns) or 'no columns'}"
            )
        positions.append(columns.index(column))
    for number, cells in lines:
        if cells:  # an empty line is none
            path, label = (cells[p].strip() if p < len(cells) else "" for p in positions)
            yield number, path, label


def _records(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line; the first has the names of the columns."""
    try:
        if not is_there(file, "file"):  # and a named pipe would wait for ever
            raise UserError(f"{file}: is no file")
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True)  # or an open quote swallows what follows it
            for cells in reader:
                yield reader.line_num, cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read: {one_line(error)}") from None


def guess_columns(file: Path) -> LabelsFile:
    """A labels file whose label column is `label`, else the last one.

    Raises:
        UserError: the file cannot be read, or has no column `path` or none beside it.
    """
    _, columns = next(_records(file), (0, []))
    others = [column for column in columns if column != "path"]
    if "path" not in columns or not others:
        raise UserError(
            f"{file}: needs a column 'path' and one of labels; it has {preview(columns) or 'none'}"
        )
    return LabelsFile(file=file, path="path", label="label" if "label" in others else others[-1])

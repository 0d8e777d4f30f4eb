"""Labels files: which label an example has by whom."""

from __future__ import annotations

import csv
import io
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipelines.data.annotators import Answers, collected, settle, shares
from pipelines.data.dataset import Dataset, class_codes, preview
from pipelines.data.delimited import delimiter_of, encoding_of, opened
from pipelines.data.paths import is_there
from pipelines.errors import UserError, one_line
from pipelines.study.labels_files import LabelsFile

#: Names of columns that hold what is asked for, the likeliest first.
LABELS = ("label", "labels", "class", "target", "category")
ANNOTATORS = ("annotator", "worker", "rater", "coder", "user", "turker", "expert")
SEVERAL = "; of several annotators, labels.annotator or .columns and labels.rule make one label"
LOOKED_AT = 100_000  # lines from which columns are guessed


def read_labels(labels: LabelsFile, dataset: Dataset) -> tuple[list[int], list[int]]:
    """Rows of the data set that a labels file names, and the label it gives to each.

    A path may leave out train/, and the ending of a file where that leaves no doubt; a label may be
    the number of a class, unless that is a class's name. Of several annotators the rule says which.

    Raises:
        UserError: the file cannot be read, or a line of it names no example or no class.
    """
    if labels.rule:
        rows, settled = settle(read_answers(labels, dataset), labels.rule)
        return rows.tolist(), settled.tolist()
    given = _given(labels, dataset)
    return [row for row, _, _ in given], [label for _, _, label in given]


def read_answers(labels: LabelsFile, dataset: Dataset) -> Answers:
    """All annotators' labels; raises as `read_labels`."""
    return collected(_given(labels, dataset), len(dataset.classes))


def read_shares(labels: LabelsFile, dataset: Dataset) -> NDArray[np.float32]:
    """Label distributions [N, K]: shares of answers, else the observed label, else zeros.

    Raises:
        UserError: as `read_labels`.
    """
    classes = len(dataset.classes)
    soft = np.eye(classes + 1, classes, dtype=np.float32)[dataset.observed]  # -1: the row of zeros
    rows, given = shares(read_answers(labels, dataset))
    soft[rows] = given
    return soft


def _given(labels: LabelsFile, dataset: Dataset) -> list[tuple[int, str, int]]:
    """Row, annotator and label of each answer in a file for an example that is used."""
    rows = _rows_by_name(dataset.names)
    number = Counter(dataset.names)  # those of a user's own function may be called anything
    codes = class_codes(dataset.classes)
    not_used = _rows_by_name([*dataset.left_out, *dataset.set_aside]).keys()
    given: dict[tuple[int, str], int] = {}
    for line, path, annotator, label in _lines(labels):
        origin = f"{labels.file}, line {line}"
        name = PurePosixPath(path).as_posix()
        row = rows.get(path, rows.get(name))
        if row is None and not not_used.isdisjoint({path, name}):
            continue
        if row is None:
            raise UserError(f"{origin}: {path!r} names no example; names are {_called(dataset)}")
        if number[dataset.names[row]] > 1:
            raise UserError(f"{origin}: {path!r} names {number[dataset.names[row]]} examples")
        if label not in codes:
            raise UserError(f"{origin}: label {label!r}: allowed are {preview(dataset.classes)}")
        again = annotator and given.get((row, annotator)) == codes[label]  # sent twice: one answer
        if (row, annotator) in given and not again:
            whose = f" with other labels of {annotator!r}: keep one" if annotator else SEVERAL
            raise UserError(f"{origin}: {path!r} occurs twice{whose}")
        given[row, annotator] = codes[label]
    if not given:
        raise UserError(f"{labels.file}: names no example")
    return [(row, annotator, label) for (row, annotator), label in given.items()]


def classes_in(labels: LabelsFile) -> list[str]:
    """The labels that occur in a file, sorted: classes of images that lie in no folders of such."""
    return sorted({label for *_, label in _lines(labels) if label})


def _rows_by_name(names: Sequence[str]) -> dict[str, int]:
    """Places in a list of examples' names by what a file may call them."""
    stems = [name.rpartition(".")[0] for name in names]
    number = Counter(stems)
    rows = {stem: row for row, stem in enumerate(stems) if stem and number[stem] == 1}
    rows |= {name.removeprefix("train/"): row for row, name in enumerate(names)}
    return rows | {name: row for row, name in enumerate(names)}


def _called(dataset: Dataset) -> str:
    """What a file may call examples, in words."""
    first = dataset.names[0]
    if first != "0":
        return f"like {first!r}"
    return "like '0': row numbers (or `names`: of an .npz file an array, of a table a column)"


def _lines(labels: LabelsFile) -> Iterator[tuple[int, str, str, str]]:
    """Line number, example, annotator and label of each answer."""
    lines = _records(labels.file)
    _, columns = next(lines, (0, []))
    named = [labels.path, *([labels.annotator] if labels.annotator else [])]
    named += labels.columns or [labels.label]
    for column in named:
        if columns.count(column) != 1:
            problem = "two columns" if column in columns else "no column"
            raise UserError(
                f"{labels.file}: {problem} {column!r}; it has {preview(columns) or 'no columns'}"
            )
    place = {column: columns.index(column) for column in named}
    for number, cells in lines:
        if not cells:  # an empty line is none
            continue
        held = {c: cells[p].strip() if p < len(cells) else "" for c, p in place.items()}
        if not labels.columns:
            whose = held[labels.annotator] if labels.annotator else ""
            yield number, held[labels.path], whose, held[labels.label]
        for column in labels.columns or ():
            if held[column]:  # an empty cell is no answer
                yield number, held[labels.path], column, held[column]


def _records(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line; the first has the names of the columns."""
    try:
        if not is_there(file, "file"):  # and a named pipe would wait for ever
            raise UserError(f"{file}: is no file")
        encoding = encoding_of(file)
        with opened(file) as content, io.TextIOWrapper(content, encoding, newline="") as stream:
            # Not strict, an open quote would swallow what follows it.
            reader = csv.reader(stream, strict=True, delimiter=delimiter_of(file, encoding))
            for cells in reader:
                yield reader.line_num, cells
    except (OSError, EOFError, zlib.error, UnicodeError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read: {one_line(error)}") from None


# ---- what a person has not said


def naming_columns(
    file: Path, identifiers: Mapping[str, Sequence[str]], path: str | None = None
) -> tuple[str, str] | None:
    """A table's column that has the names that a labels file uses, and the file's column of them.

    They share a name, or all that the file's column holds is in the other, unless it may be row
    numbers. identifiers: columns of the table that may name its rows, with their cells. path: the
    file's column, where a person has named it. None: there are no such columns.

    Raises:
        UserError: the file cannot be read.
    """
    held = {name: values - {""} for name, (values, _) in _columns(file).items()}
    held = {name: values for name, values in held.items() if values and path in (None, name)}
    for name in identifiers.keys() & held.keys():
        if 2 * len(held[name] & {*identifiers[name]}) > len(held[name]):  # a few may be misspelt
            return name, name
    for column, cells in identifiers.items():
        rows = {str(row) for row in range(len(cells))}
        for name, values in held.items():
            if values <= {*cells} and not values <= rows:
                return column, name
    return None


def guess_columns(
    file: Path, dataset: Dataset, path: str | None = None, label: str | None = None
) -> LabelsFile:
    """A labels file with the columns that name examples and hold labels.

    file: of which other columns may hold anything. path, label: columns that a person has named.

    Raises:
        UserError: the file cannot be read, or no column, or more than one, may be what is needed.
    """
    columns = _columns(file)
    values = {name: held for name, (held, _) in columns.items()}
    path = path or _guess_path(file, values, dataset)
    others = {name: held for name, held in values.items() if name != path}
    label = label or _guess_label(file, others, dataset)
    if path in columns and len(values[path]) < columns[path][1]:  # an example has several lines
        by = _guess_annotator([name for name in others if name != label])
        if by:
            return LabelsFile(file=file, path=path, label=label, annotator=by, rule="dawid_skene")
    return LabelsFile(file=file, path=path, label=label)


def _columns(file: Path) -> dict[str, tuple[set[str], int]]:
    """By column, what its cells hold in the first lines; and in how many lines there are such."""
    lines = _records(file)
    _, columns = next(lines, (0, []))
    looked_at = [cells for (_, cells), _ in zip(lines, range(LOOKED_AT), strict=False) if cells]
    return {
        name: ({cells[place].strip() for cells in looked_at if place < len(cells)}, len(looked_at))
        for place, name in enumerate(columns)
    }


def _guess_annotator(names: Sequence[str]) -> str | None:
    called = [name for name in names if any(word in name.lower() for word in ANNOTATORS)]
    return next(iter(called or (names if len(names) == 1 else [])), None)


def _guess_path(file: Path, values: dict[str, set[str]], dataset: Dataset) -> str:
    if "path" in values:
        return "path"
    known = _rows_by_name([*dataset.names, *dataset.left_out, *dataset.set_aside])
    naming = [
        name
        for name, held in values.items()
        if held and all(PurePosixPath(value).as_posix() in known for value in held)
    ]
    if not naming:
        raise UserError(
            f"{file}: needs a column that names examples, {_called(dataset)}; it has "
            f"{preview(values) or 'none'}"
        )
    return max(naming, key=lambda name: len(values[name]))


def _guess_label(file: Path, values: dict[str, set[str]], dataset: Dataset) -> str:
    """The column whose values are classes; of several the one that is called so."""
    if not dataset.classes:  # then it says which classes there are
        return _only(file, values, list(values))
    numbers = {str(number) for number in range(len(dataset.classes))}
    by_name = [name for name, held in values.items() if held and held <= set(dataset.classes)]
    by_number = [n for n, held in values.items() if held and held <= {*dataset.classes, *numbers}]
    # Where none fits, the one that was meant has a wrong cell, which is told by who reads it.
    return _only(file, values, by_name or by_number or list(values))


def _only(file: Path, values: dict[str, set[str]], names: Sequence[str]) -> str:
    """The one column of those names that holds labels, by what it is called if there are others."""
    # A constant tells no classes apart.
    names = [name for name in names if len(values[name]) > 1 or len(names) == 1]
    exact = [name for wanted in LABELS for name in names if name.lower() == wanted]
    called = exact[:1] or [name for name in names if _is_called_label(name)]
    if len(chosen := called or names) == 1:
        return chosen[0]
    raise UserError(
        f"{file}: which column has the labels? It has {preview(chosen or values) or 'none'}: "
        "--label-column names it"
    )


def _is_called_label(name: str) -> bool:
    return any(word in name.lower() for word in LABELS)

"""A look at a person's own data: classes, sizes, images, duplicates, odd files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from pipelines.data.annotators import told
from pipelines.data.dataset import Dataset, preview
from pipelines.data.labels_file import guess_columns, naming_columns, read_answers
from pipelines.data.loading import check_data, load_dataset, read_source, told_if_unreadable
from pipelines.data.source import FirstLook
from pipelines.data.sources import source_for, source_named
from pipelines.errors import UserError
from pipelines.study.protocol import Data
from pipelines.study.validation import describe

FEWEST = 5  # examples of a class: one each for test, val and meta, and two to train on
FEWEST_TRUSTED = 3  # of those that are verified, where not all are taken as true


class Duplicates(NamedTuple):
    """How many examples have exactly the values of an earlier one.

    across: those of them whose twin is on the other side of the source's own test set.
    contradicting: those whose twin has another label.
    """

    number: int
    across: int
    contradicting: int


@dataclass(frozen=True)
class Survey:
    """What was seen of the data.

    data: as a study file names it. look: what was seen before decoding. counts: examples of each
    class outside the source's own test set, by observed label [K]. relabelled: share of labels that
    a labels file changes. trusted: examples outside the source's own test set whose label was
    verified, where not all are taken as true.
    """

    data: Data
    dataset: Dataset
    look: FirstLook
    counts: list[int]
    duplicates: Duplicates
    relabelled: float
    trusted: int | None = None

    @property
    def imbalance(self) -> float:
        """Size of the largest class over that of the smallest."""
        return max(self.counts) / min(self.counts)


def survey(
    path: Path,
    labels: Path | None = None,
    trusted: Path | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    **options: Any,
) -> Survey:
    """Look at the data: all of it is read, and decoded into the cache.

    labels: a labels file. trusted: one of examples whose label was verified. path_column,
    label_column: of the labels file, where a person has named them. options: of `data`, likewise.

    Raises:
        UserError: it cannot be read, or a class has too few examples.
    """
    source = source_for(path)
    data = _data(source.name, path, options)
    check_data(data, source)
    with told_if_unreadable(data):
        look = source.look(data)
    source = source_named(look.source or source.name)
    data = data.model_copy(update={"source": source.name} | look.options)
    if labels:
        data, path_column = _named(data, look, labels, path_column)
        found = guess_columns(labels, read_source(data, source), path_column, label_column)
        data = data.model_copy(update={"labels": found})
    elif path_column or label_column:
        raise UserError("--path-column and --label-column are of the file that --labels names")
    if trusted:
        data, trusted_path = _named(data, look, trusted)
        found = guess_columns(trusted, load_dataset(data), trusted_path)
        data = data.model_copy(update={"trusted": found})
    dataset = load_dataset(data)
    ours, known = ~dataset.in_own_test, (dataset.truth >= 0) & (dataset.observed >= 0)
    observed = _counted(dataset, dataset.observed[ours], FEWEST, "observed")
    fewest, kind = (FEWEST_TRUSTED, "trusted") if trusted else (FEWEST, "true")
    true = _counted(dataset, dataset.truth[ours], fewest, kind)
    return Survey(
        data=data,
        dataset=dataset,
        look=look,
        counts=observed,
        trusted=sum(true) if trusted else None,
        duplicates=_duplicates(dataset),
        relabelled=float((dataset.observed != dataset.truth)[ours & known].mean()),
    )


def _named(
    data: Data, look: FirstLook, file: Path, path: str | None = None
) -> tuple[Data, str | None]:
    """With the column of a table that has the names which a labels file uses, and that file's.

    look: is told. path: the file's column, where a person has named it.
    """
    known = {n: cells for n, cells in look.identifiers.items() if data.names in (None, n)}
    found = naming_columns(file, known, path)
    if found is None:
        return data, path
    names, path = found
    if data.names is None:
        look.notes.append(("names", f"column {names!r}, as {file.name} has it in {path!r}"))
    columns = {n: rule for n, rule in (data.columns or {}).items() if n != names}
    drop = tuple(name for name in data.drop or () if name != names)
    changes = {"names": names, "columns": columns or None, "drop": drop or None}
    return data.model_copy(update=changes), path


def _counted(dataset: Dataset, labels: NDArray[np.int64], fewest: int, kind: str) -> list[int]:
    """Examples of each class [K] by labels of a kind.

    Raises:
        UserError: a class has too few.
    """
    counts = np.bincount(labels[labels >= 0], minlength=len(dataset.classes))
    if counts.min() < fewest:
        raise UserError(
            f"class {dataset.classes[counts.argmin()]!r}: has {counts.min()} examples by {kind} "
            f"label; {fewest} are needed: collect more, merge it, or leave it out"
        )
    return counts.tolist()


def _data(source: str, path: Path, options: dict[str, Any]) -> Data:
    try:
        return Data(source=source, path=path, **options)
    except ValidationError as error:
        raise UserError(describe(error, Data, "data")) from None


def _duplicates(dataset: Dataset) -> Duplicates:
    test, observed = dataset.in_own_test, dataset.observed
    first: dict[bytes, int] = {}
    pairs: list[tuple[int, int]] = []
    for row in range(len(dataset.x)):
        content = hashlib.sha256(np.ascontiguousarray(dataset.x[row]).data).digest()
        twin = first.setdefault(content, row)
        if twin != row:
            pairs.append((twin, row))
    return Duplicates(
        number=len(pairs),
        across=sum(bool(test[twin] != test[row]) for twin, row in pairs),
        contradicting=sum(bool(observed[twin] != observed[row]) for twin, row in pairs),
    )


def summary(seen: Survey) -> list[tuple[str, str]]:
    """What was seen, a line each."""
    dataset, counts = seen.dataset, seen.counts
    test = int(dataset.in_own_test.sum())
    by_size = np.argsort(counts, kind="stable")
    smallest, largest = (f"{dataset.classes[i]} ({counts[i]:,})" for i in (by_size[0], by_size[-1]))
    lines = [
        ("examples", f"{sum(counts):,}" + (f", and {test:,} to test" if test else "")),
        ("classes", f"{len(counts)}: {preview(dataset.classes)}"),
        ("smallest, largest", f"{smallest}, {largest}: {seen.imbalance:.1f} to 1"),
        ("input", _describe_input(seen)),
        ("duplicates", _describe_duplicates(seen.duplicates)),
    ]
    if without := int((dataset.observed < 0).sum()):
        lines.append(("without a label", f"{without:,}, for arms that use such"))
    lines += seen.look.notes
    if dataset.left_out:
        number = len(dataset.left_out)
        lines.append(("broken", f"{number:,} left out: {preview(dataset.left_out)}"))
    if file := seen.data.labels:
        what = f"column {file.label!r}, of the examples in {file.path!r}"
        if seen.trusted is None and seen.relabelled:
            what += f", changes {seen.relabelled:.1%} of the labels"
        lines.append(("labels file", what))
        if file.rule:
            lines.append(("annotators", f"{told(read_answers(file, dataset))}; rule {file.rule}"))
    if seen.trusted is not None:
        wrong = f"{seen.relabelled:.1%} of them had another label"
        lines.append(("trusted", f"{seen.trusted:,} examples; {wrong}"))
    return lines


def _describe_input(seen: Survey) -> str:
    shape = seen.dataset.x.shape[1:]
    if encoding := seen.dataset.encoding:
        return f"{shape[0]:,} features by {encoding.encoder!r}"
    if len(shape) == 1:
        described = seen.data.columns is not None
        return f"{len(seen.dataset.columns)} columns" if described else f"{shape[0]} numbers"
    colours = {1: "grey", 3: "colour"}.get(shape[0], f"{shape[0]} channels")
    text = f"{colours} images, {shape[2]} x {shape[1]}"
    if not seen.data.size:
        return text
    sizes = seen.look.image_sizes
    (width, height), number = sizes.most_common(1)[0]
    return f"{text}, resized from {len(sizes)} sizes, {width} x {height} most often ({number:,})"


def _describe_duplicates(duplicates: Duplicates) -> str:
    if not duplicates.number:
        return "none"
    text = f"{duplicates.number:,} examples equal an earlier one"
    text += f", {duplicates.contradicting:,} of them under another label"
    return text + f", {duplicates.across:,} across training and test set" * bool(duplicates.across)

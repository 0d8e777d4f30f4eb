"""From the data section of a study to a data set: its source is read, its labels files applied."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pipelines.data.cache import cached
from pipelines.data.dataset import Dataset, content_hash, preview
from pipelines.data.encoding import encoded
from pipelines.data.labels_file import classes_in, read_answers, read_labels, read_shares
from pipelines.data.paths import is_there
from pipelines.data.source import COMMON, Source, cache_key
from pipelines.data.sources import SOURCES, source_named
from pipelines.documents import digest
from pipelines.errors import UserError, one_line
from pipelines.study.protocol import Data


def load_dataset(data: Data) -> Dataset:
    """Read the source that a study names and apply its labels files.

    Raises:
        UserError: an unknown source, an unreadable file, or values in it that cannot be used.
    """
    source = source_named(data.source)
    check_data(data, source)
    read = read_source(data, source)
    dataset = _with_classes(data, read)
    if data.labels:
        rows, labels = read_labels(data.labels, dataset)
        observed = dataset.observed.copy()
        observed[rows] = labels
        dataset = replace(dataset, observed=observed)
        if data.labels.rule == "soft":
            dataset = replace(dataset, soft=read_shares(data.labels, dataset))
        if data.labels.rule == "dawid_skene":
            answers = read_answers(data.labels, dataset)
            true = not (read.classes or data.trusted)
            dataset = replace(dataset, answers=replace(answers, true=true))
    if data.trusted:
        rows, labels = read_labels(data.trusted, dataset)
        truth = np.full_like(dataset.truth, -1)
        truth[rows] = labels
        both = (truth >= 0) & (dataset.observed >= 0)  # the others' given label will be this one
        verified = np.stack([truth[both], dataset.observed[both]])
        given = np.where(dataset.observed < 0, truth, dataset.observed)
        dataset = replace(dataset, truth=truth, observed=given, verified=verified)
    if data.corrections:
        dataset = _corrected(dataset, *read_labels(data.corrections, dataset))
    return replace(dataset, fingerprint=_fingerprint(dataset))


def _corrected(dataset: Dataset, rows: list[int], labels: list[int]) -> Dataset:
    """With verified labels in the place of those that these examples had.

    True labels change where the data set has such. Where only listed examples are trusted, no
    other one becomes one of these: what is looked at because it is suspect is no random sample.
    """
    observed, truth = dataset.observed.copy(), dataset.truth.copy()
    observed[rows] = labels
    truth[rows] = np.where(truth[rows] >= 0, labels, -1)
    soft = dataset.soft
    if soft is not None:
        soft = soft.copy()
        soft[rows] = np.eye(len(dataset.classes), dtype=soft.dtype)[labels]
    answers = dataset.answers
    if answers is not None:  # of these examples they decide nothing any more
        others = np.ones(len(observed), bool)
        others[rows] = False
        answers = answers.among(others)
    return replace(dataset, observed=observed, truth=truth, soft=soft, answers=answers)


def _with_classes(data: Data, dataset: Dataset) -> Dataset:
    """A data set whose source knows no labels, with those of the labels file, taken as true."""
    if dataset.classes:
        return dataset
    if data.labels is None:
        raise UserError(
            f"{data.path}: its images lie in no folders named by their class: a CSV file must say "
            "which class each has (new --labels FILE)"
        )
    dataset = replace(dataset, classes=classes_in(data.labels))
    if len(dataset.classes) < 2:
        raise UserError(
            f"{data.labels.file}: column {data.labels.label!r} holds {preview(dataset.classes)}: "
            "two classes are needed"
        )
    rows, labels = read_labels(data.labels, dataset)
    truth = np.full(len(dataset.x), -1)
    truth[rows] = labels
    return replace(dataset, truth=truth)


def read_source(data: Data, source: Source) -> Dataset:
    """What a source says by itself; decoded, and encoded, once, and then from the cache."""
    with told_if_unreadable(data):
        dataset = _decoded(data, source)
        return encoded(dataset, data.encoder) if data.encoder else dataset


def _decoded(data: Data, source: Source) -> Dataset:
    if not source.cached:
        with TemporaryDirectory() as folder:
            return source.read(data, Path(folder))
    return cached(cache_key(source, data), lambda folder: source.read(data, folder))


@contextmanager
def told_if_unreadable(data: Data) -> Iterator[None]:
    """A file that may not be read, or too large a one, is told in one line."""
    try:
        yield
    except (OSError, MemoryError) as error:
        what = data.path or data.source
        raise UserError(f"{what}: cannot be read: {one_line(error)}") from None


def check_data(data: Data, source: Source) -> None:
    """What a source needs must be there, and what it would not look at must not be given.

    Raises:
        UserError: it is not so.
    """
    _check_path(data, source)
    defaults = Data()
    for name in type(data).model_fields:
        value = getattr(data, name)
        if name in COMMON or name in source.options or value == getattr(defaults, name):
            continue
        having = [s.name for s in SOURCES.values() if name in s.options]
        raise UserError(
            f"data.{name} = {value!r}: only {', '.join(having)} has it, the source is {source.name}"
        )


def _check_path(data: Data, source: Source) -> None:
    path = data.path
    if path and source.path is None:
        raise UserError(f"data.path = {str(path)!r}: {source.name} reads no path")
    if source.path in ("file", "folder") and (path is None or not is_there(path, source.path)):
        given = f" = {str(path)!r}" if path else " is missing"
        raise UserError(f"data.path{given}: {source.name} needs an existing {source.path}")


def _fingerprint(dataset: Dataset) -> str:
    """Identity of the content: values, both kinds of labels, test set, classes."""
    labels = hashlib.sha256(dataset.observed.tobytes() + dataset.truth.tobytes())
    labels.update(b"" if dataset.test is None else dataset.test.tobytes())
    labels.update(b"" if dataset.soft is None else dataset.soft.tobytes())
    if dataset.answers is not None:
        for given in (dataset.answers.rows, dataset.answers.by, dataset.answers.labels):
            labels.update(given.tobytes())
    content = [_inputs(dataset), labels.hexdigest(), dataset.classes]
    if any(column.kind != "number" for column in dataset.columns):
        content.append([column.state() for column in dataset.columns])
    return digest(content)


def _inputs(dataset: Dataset) -> str:
    """Of inputs; but for features of a table's texts, whose columns have digests of their own."""
    if all(column.kind != "text" for column in dataset.columns):
        return dataset.fingerprint
    of_texts = np.repeat(
        [column.kind == "text" for column in dataset.columns],
        [column.width for column in dataset.columns],
    )
    return content_hash(dataset.x[:, ~of_texts])

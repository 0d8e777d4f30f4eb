"""A study goes on with labels that somebody has verified: another study file, to launch."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal, NamedTuple

import yaml

from pipelines.data.dataset import Dataset
from pipelines.data.labels_file import read_labels
from pipelines.data.loading import load_dataset
from pipelines.errors import UserError
from pipelines.report.study_state import load_study_state
from pipelines.study.labels_files import LabelsFile
from pipelines.study.protocol import Data
from pipelines.study.study_file import Study

Use = Literal["corrections", "trusted"]


class Verified(NamedTuple):
    """The study file and the file of labels that were written; what the labels say.

    confirmed, changed: examples that keep their label, or get another; earlier: of a list that the
    study had before, and that has become part of this one.
    """

    study: Path
    labels: Path
    confirmed: int
    changed: int
    earlier: int


def go_on_with(storage: str, file: Path, use: Use, folder: Path) -> Verified:
    """Write a study like that of a directory, but with verified labels; and one list of them all.

    file: with the columns path and label; use: `corrections`, in the place of the labels that there
    are, or `trusted`, of which meta, val and test are drawn; folder: for both files.

    Raises:
        UserError: the file names no example or no class, or the files cannot be written.
    """
    study = load_study_state(storage)[1].study
    dataset = load_dataset(study.protocol.data)
    rows, labels = read_labels(LabelsFile(file=file, path="path", label="label"), dataset)
    found = dict(zip(rows, labels, strict=True))
    earlier = getattr(study.protocol.data, use)
    before = dict(zip(*read_labels(earlier, dataset), strict=True)) if earlier else {}
    changed = sum(int(dataset.observed[row]) != label for row, label in found.items())
    name = _free_name(study.name, folder)
    written, listed = folder / f"{name}.yaml", folder / f"{name}-verified.csv"
    try:
        _write_labels(listed, dataset, before | found)
        written.write_text(_as_yaml(study, name, use, listed), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written: {error.strerror}") from None
    kept = len(before.keys() - found.keys())
    return Verified(written, listed, len(found) - changed, changed, kept)


def _free_name(name: str, folder: Path) -> str:
    """NAME-2, or the next one that has no file yet."""
    stem, _, last = name.rpartition("-")
    stem, number = (stem, int(last) + 1) if stem and last.isdigit() else (name, 2)
    while (folder / f"{stem}-{number}.yaml").exists():
        number += 1
    return f"{stem}-{number}"


def _write_labels(path: Path, dataset: Dataset, labels: dict[int, int]) -> None:
    with path.open("x", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["path", "label"])
        for row, label in sorted(labels.items()):
            writer.writerow([dataset.names[row], dataset.classes[label]])


def _as_yaml(study: Study, name: str, use: Use, listed: Path) -> str:
    """The study as a file, with what differs from the defaults."""
    values = study.model_dump(mode="json", exclude_defaults=True, by_alias=True)
    values["name"] = name
    data = values.setdefault("protocol", {}).setdefault("data", {})
    data.setdefault("source", Data().source)
    data[use] = {"file": listed.name}
    head = f"# {study.name}, with the verified labels in {listed.name} ({use}).\n"
    return head + yaml.safe_dump(values, sort_keys=False, width=100, allow_unicode=True)

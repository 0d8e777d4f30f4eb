"""What the record of a trial says of its data; written to every result, so its keys stay."""

from __future__ import annotations

import hashlib
from typing import TypedDict

import numpy as np

from pipelines.data.dataset import Dataset
from pipelines.data.splits import Rows
from pipelines.study.protocol import Noise, Splits


class NoiseDescription(TypedDict):
    """kind and nominal rate of the noise that was added, and the rate that came of it.

    measured: by split (train, val), the share of wrong labels among those whose truth is known;
    None where no truth is known. It counts what was wrong before noise was added, too.
    """

    kind: str
    nominal: float
    measured: dict[str, float | None]


class DataDescription(TypedDict):
    """The data of one data seed.

    fingerprint: of the whole data set, see `load_dataset`. splits: SHA-256 of the rows and labels
    of all four splits. examples: their number in the data set, all of it. classes: names. sizes:
    examples of each split. counts: by split, how many labels are of each class [K]. val_labels:
    clean or corrupted.
    """

    fingerprint: str
    splits: str
    examples: int
    classes: list[str]
    sizes: dict[str, int]
    counts: dict[str, list[int]]
    val_labels: str
    noise: NoiseDescription


def describe(
    dataset: Dataset,
    noise: Noise,
    splits: Splits,
    rows: dict[str, Rows],
    labels: dict[str, Rows],
) -> DataDescription:
    """The description of the splits of a data set.

    noise, splits: what the study asked for. rows, labels: what came of it, by split: rows of the
    data set, and labels as a learner sees them, [n] each.
    """
    classes = len(dataset.classes)
    return {
        "fingerprint": dataset.fingerprint,
        "splits": _identity(rows, labels),
        "examples": len(dataset.x),
        "classes": dataset.classes,
        "sizes": {name: len(part) for name, part in rows.items()},
        "counts": {name: np.bincount(y, minlength=classes).tolist() for name, y in labels.items()},
        "val_labels": splits.val_labels,
        "noise": _describe_noise(dataset, noise, rows, labels),
    }


def _describe_noise(
    dataset: Dataset, noise: Noise, rows: dict[str, Rows], labels: dict[str, Rows]
) -> NoiseDescription:
    return {
        "kind": noise.kind,
        "nominal": noise.rate,
        "measured": {
            name: _noise_rate(dataset.truth[rows[name]], labels[name]) for name in ("train", "val")
        },
    }


def _noise_rate(truth: Rows, labels: Rows) -> float | None:
    known = truth >= 0
    return float((truth != labels)[known].mean()) if known.any() else None


def _identity(rows: dict[str, Rows], labels: dict[str, Rows]) -> str:
    content = hashlib.sha256()
    for name, part in rows.items():
        content.update(name.encode() + part.tobytes() + labels[name].tobytes())
    return content.hexdigest()

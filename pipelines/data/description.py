"""What the record of a trial says of its data; written to every result, so its keys stay."""

from __future__ import annotations

import hashlib

import numpy as np

from pipelines.data.dataset import Dataset
from pipelines.data.splits import Rows
from pipelines.stored_predictions import stored_confusion
from pipelines.study.label_corruption import Noise
from pipelines.study.protocol import Splits
from pipelines.trial_documents import DataDescription, NoiseDescription


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
    description: DataDescription = {
        "fingerprint": dataset.fingerprint,
        "splits": _identity(rows, labels),
        "examples": len(dataset.x),
        "classes": dataset.classes,
        "sizes": {name: len(part) for name, part in rows.items()},
        "counts": {
            name: np.bincount(y[y >= 0], minlength=classes).tolist() for name, y in labels.items()
        },
        "val_labels": splits.val_labels,
        "noise": _describe_noise(dataset, noise, rows, labels),
    }
    if dataset.verified is not None:
        true, given = dataset.verified
        description["verified"] = stored_confusion(true, given, len(dataset.classes))
    if dataset.left_out:
        description["left_out"] = len(dataset.left_out)
    return description


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

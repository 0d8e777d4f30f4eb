"""From a protocol to tensors: four disjoint splits, corrupted where the study says so.

test is fixed per study; train, meta and val depend on the data seed. Imbalance, then noise act on
the training split; meta, val and test carry true labels (val the corrupted ones, where
`splits.val_labels` asks for it).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from methods.objective import Pool
from pipelines.data.corruption import corrupt, transition
from pipelines.data.dataset import Dataset
from pipelines.data.sources import load_dataset
from pipelines.data.splits import Rows, _rng, _thin_train, split_rows
from pipelines.study.protocol import Protocol


@dataclass(frozen=True)
class Split:
    """Examples on one device; rows are in the order of the data set, so shuffle before use.

    x [n, C, H, W] uint8 or [n, D] float32 as stored, before `Task.normalise`; y [n] int64, the
    labels that a learner sees; truth [n] int64, the true labels, -1 where unknown; index [n] int64,
    rows of the data set; trusted [n] bool: y is known to be the true label.
    """

    x: Tensor
    y: Tensor
    truth: Tensor
    index: Tensor
    trusted: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: torch.device | str) -> Split:
        """The same examples on another device."""
        return Split(**{name: tensor.to(device) for name, tensor in vars(self).items()})


@dataclass(frozen=True)
class Task:
    """The splits of one data seed, and `description`: what a record says of them."""

    train: Split
    meta: Split
    val: Split
    test: Split
    classes: list[str]
    input_shape: tuple[int, ...]
    mean: Tensor
    std: Tensor
    description: dict[str, Any]

    def to(self, device: torch.device | str) -> Task:
        """The same task on another device."""
        parts = ("train", "meta", "val", "test", "mean", "std")
        return replace(self, **{name: getattr(self, name).to(device) for name in parts})

    def normalise(self, x: Tensor) -> Tensor:
        """Stored values x [B, ...] as float32, mean 0 and deviation 1 per channel or feature."""
        return x.sub(self.mean).div_(self.std)  # bytes become floats in the subtraction

    def pool(self, name: Pool, meta_repeat: int = 1) -> Split:
        """The examples that a phase trains on; each meta example occurs `meta_repeat` times."""
        repeats = {part: meta_repeat if part == "meta" else 1 for part in name.split("+")}
        parts = [vars(getattr(self, part)) for part, n in repeats.items() for _ in range(n)]
        return Split(**{column: torch.cat([p[column] for p in parts]) for column in parts[0]})


def prepare(protocol: Protocol, data_seed: int) -> Task:
    """The task of a data seed, on the CPU; the latest two are kept: do not change the tensors.

    Raises:
        UserError: the data cannot be read, or does not suffice for the splits.
    """
    return _prepare(protocol.model_dump_json(), data_seed)


@lru_cache(maxsize=4)
def _prepare(protocol_json: str, data_seed: int) -> Task:
    protocol = Protocol.model_validate_json(protocol_json)
    dataset = load_dataset(protocol.data)
    rows = split_rows(dataset, protocol.splits, protocol.seed, data_seed)
    likely = np.where(dataset.truth >= 0, dataset.truth, dataset.observed)
    rows["train"] = _thin_train(rows["train"], likely, dataset, protocol, data_seed)
    law = transition(
        protocol.noise.kind, len(dataset.classes), protocol.noise.rate, _rng(data_seed, "noise law")
    )
    labels = {name: dataset.truth[part] for name, part in rows.items()}
    corrupted = ["train"] + ["val"] * (protocol.splits.val_labels == "corrupted")
    for name in corrupted:
        observed = dataset.observed[rows[name]]
        labels[name] = corrupt(observed, law, _rng(data_seed, f"{name} noise"))
    mean, std = _statistics(dataset, rows["test"])
    shape = dataset.x.shape[1:]
    return Task(
        **{name: _split(dataset, rows[name], labels[name], name not in corrupted) for name in rows},
        classes=dataset.classes,
        input_shape=shape,
        mean=mean.view(-1, *[1] * (len(shape) - 1)),
        std=std.view(-1, *[1] * (len(shape) - 1)),
        description=_description(dataset, protocol, rows, labels),
    )


def _split(dataset: Dataset, rows: Rows, labels: Rows, trusted: bool) -> Split:
    return Split(
        x=torch.from_numpy(dataset.x[rows]),
        y=torch.from_numpy(labels),
        truth=torch.from_numpy(dataset.truth[rows]),
        index=torch.from_numpy(rows),
        trusted=torch.full((len(rows),), trusted),
    )


def _statistics(dataset: Dataset, test: Rows) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [C] or [D] of all rows that are not for testing.

    Constant features get 1, and so do those whose spread is below the resolution of float32.
    """
    use = np.ones(len(dataset.x), bool)
    use[test] = False
    if dataset.test is not None:
        use &= ~dataset.test
    rows = np.flatnonzero(use)
    axes, n = (0, *range(2, dataset.x.ndim)), len(rows) * int(np.prod(dataset.x.shape[2:]))
    blocks = [rows[start : start + 1024] for start in range(0, len(rows), 1024)]
    mean = sum(dataset.x[b].sum(axes, np.float64, keepdims=True) for b in blocks) / n
    squares = (np.square(dataset.x[b] - mean).sum(axes) for b in blocks)
    mean, std = np.ravel(mean), np.sqrt(sum(squares) / n)
    std = np.where(std > 1e-6 * np.abs(mean), std, 1.0)
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()


def _description(
    dataset: Dataset,
    protocol: Protocol,
    rows: dict[str, Rows],
    labels: dict[str, Rows],
) -> dict[str, Any]:
    classes = len(dataset.classes)
    identity = hashlib.sha256()
    for name, part in rows.items():
        identity.update(name.encode() + part.tobytes() + labels[name].tobytes())
    return {
        "fingerprint": dataset.fingerprint,
        "splits": identity.hexdigest(),
        "examples": len(dataset.x),
        "classes": dataset.classes,
        "sizes": {name: len(part) for name, part in rows.items()},
        "counts": {name: np.bincount(y, minlength=classes).tolist() for name, y in labels.items()},
        "val_labels": protocol.splits.val_labels,
        "noise": {
            "kind": protocol.noise.kind,
            "nominal": protocol.noise.rate,
            "measured": {
                name: _rate(dataset.truth[rows[name]], labels[name]) for name in ("train", "val")
            },
        },
    }


def _rate(truth: Rows, labels: Rows) -> float | None:
    """Share of wrong labels among those whose truth is known; none if no truth is known."""
    known = truth >= 0
    return float((truth != labels)[known].mean()) if known.any() else None

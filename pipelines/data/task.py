"""From a protocol to tensors: four disjoint splits, corrupted where the study says so.

test is fixed per study; train, meta and val depend on the data seed. Imbalance, then noise act on
the training split, of which some examples may lose their label (a fifth split, `unlabelled`); meta,
val and test carry true labels (val the corrupted ones, where `splits.val_labels` asks for it).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from methods.objective import Pool
from pipelines.data.annotators import settle
from pipelines.data.conversion import Conversion
from pipelines.data.corruption import corrupt, transition
from pipelines.data.dataset import Dataset, Encoding
from pipelines.data.description import describe
from pipelines.data.loading import load_dataset
from pipelines.data.normalisation import statistics
from pipelines.data.splits import Rows, hide_labels, keyed_rng, split_rows, thin_train
from pipelines.data.stored import Examples, examples, joined
from pipelines.errors import UserError
from pipelines.study.label_corruption import Imbalance, Noise
from pipelines.study.protocol import Data, Protocol, Splits
from pipelines.trial_documents import DataDescription

#: Tasks that a process keeps. The trials of a study's repeats (three by default, with splits of
#: their own) take turns in a worker, which would otherwise gather the same examples for each trial
#: anew; more would only cost memory, since each task holds a copy of the examples.
TASKS_KEPT = 4
SPLITS = ("train", "meta", "val", "test", "unlabelled")


@dataclass(frozen=True)
class Split:
    """Examples on one device; rows are in the order of the data set, so shuffle before use.

    x [n, C, H, W] uint8 or [n, D] float32 as stored, before `Task.normalise`; y [n] int64, the
    labels that a learner sees, -1 where it sees none; truth [n] int64, the true labels, -1 where
    unknown; index [n] int64, rows of the data set; trusted [n] bool: y is known to be the true
    label. x of large data sets is not in memory, but read as it is asked for.
    """

    x: Examples
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
    """The splits of one data seed.

    unlabelled: empty, unless the study asks for it. classes: their names. input_shape: of one
    example. mean, std: [C, 1, 1] or [D], by which inputs are normalised. description: what a
    trial's record says of its data. conversion: of a table, by which the features were made;
    encoding: of texts and images, likewise. soft: label distributions [N, K] of all rows of the
    data set, where annotators' answers are trained on.
    """

    train: Split
    meta: Split
    val: Split
    test: Split
    unlabelled: Split
    classes: list[str]
    input_shape: tuple[int, ...]
    mean: Tensor
    std: Tensor
    description: DataDescription
    conversion: Conversion | None = None
    encoding: Encoding | None = None
    soft: Tensor | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """Examples of each split."""
        return {name: len(getattr(self, name)) for name in SPLITS}

    def to(self, device: torch.device | str) -> Task:
        """The same task on another device."""
        parts = {name: getattr(self, name).to(device) for name in (*SPLITS, "mean", "std")}
        return replace(self, **parts, soft=None if self.soft is None else self.soft.to(device))

    def normalise(self, x: Tensor) -> Tensor:
        """Stored values x [B, ...] as a network takes them: float32, less mean, over std."""
        return x.sub(self.mean).div_(self.std)  # bytes become floats in the subtraction

    def pool(self, name: Pool, meta_repeat: int = 1) -> Split:
        """The examples that a phase trains on; each meta example occurs `meta_repeat` times.

        Raises:
            UserError: there are none without a label, which it asks for.
        """
        if "unlabelled" in name and not len(self.unlabelled):
            raise UserError(
                f"pool = {name!r}: there are no examples without a label; splits.unlabelled must "
                "be at least 1, unless the source has some"
            )
        repeats = {part: meta_repeat if part == "meta" else 1 for part in name.split("+")}
        parts = [getattr(self, part) for part, n in repeats.items() for _ in range(n)]
        columns = ("y", "truth", "index", "trusted")
        return Split(
            x=joined([part.x for part in parts]),
            **{column: torch.cat([getattr(part, column) for part in parts]) for column in columns},
        )


@dataclass(frozen=True)
class _Recipe:
    """What a task depends on, and nothing else of a protocol, so that trials share their tasks."""

    data: Data
    noise: Noise
    imbalance: Imbalance
    splits: Splits
    seed: int
    data_seed: int


def prepare(protocol: Protocol, data_seed: int, fingerprint: str | None = None) -> Task:
    """The task of a data seed, on the CPU; shared by all who ask, so do not change its tensors.

    fingerprint: that the data must have, where it has been read before, maybe by another process.

    Raises:
        UserError: the data cannot be read, does not suffice for the splits, or is another.
    """
    p = protocol
    task = _prepare(_Recipe(p.data, p.noise, p.imbalance, p.splits, p.seed, data_seed))
    if fingerprint not in (None, task.description["fingerprint"]):
        raise UserError(
            f"data.source = {p.data.source!r}: gave other data when it was read again; files must "
            "stay as they are while a study runs, and a function of your own must seed its random "
            "numbers"
        )
    return task


@lru_cache(TASKS_KEPT)
def _prepare(recipe: _Recipe) -> Task:
    splits, data_seed = recipe.splits, recipe.data_seed
    dataset = load_dataset(recipe.data)
    rows = split_rows(dataset, splits, recipe.seed, data_seed)
    rows["train"] = thin_train(dataset, rows["train"], recipe.imbalance, splits, data_seed)
    if splits.unlabelled:
        rows["train"], hidden = hide_labels(dataset, rows["train"], splits.unlabelled, data_seed)
        rows["unlabelled"] = np.union1d(rows.get("unlabelled", hidden), hidden)
    dataset = _settled(dataset, rows["test"])
    corrupted = ["train"] + ["val"] * (splits.val_labels == "corrupted")
    labels = _labels(dataset, recipe.noise, rows, corrupted, data_seed)
    dataset, conversion = _converted(dataset, rows["train"])
    mean, std = statistics(dataset, rows["test"], recipe.data.normalise)
    shape, nobody = dataset.x.shape[1:], np.zeros(0, np.int64)
    untrusted = [*corrupted, "unlabelled"]
    return Task(
        **{
            name: _split(
                dataset, rows.get(name, nobody), labels.get(name, nobody), name not in untrusted
            )
            for name in SPLITS
        },
        classes=dataset.classes,
        input_shape=shape,
        mean=mean.view(-1, *[1] * (len(shape) - 1)),
        std=std.view(-1, *[1] * (len(shape) - 1)),
        description=describe(dataset, recipe.noise, splits, rows, labels),
        conversion=conversion,
        encoding=dataset.encoding,
        soft=None if dataset.soft is None else torch.from_numpy(dataset.soft),
    )


def _settled(dataset: Dataset, test: Rows) -> Dataset:
    """Labels by Dawid & Skene as all answers but those for test examples have them.

    What annotators say of an example for testing tells how they err, and so, a little, which label
    others get.
    """
    if dataset.answers is None:
        return dataset
    outside = ~dataset.in_own_test
    outside[test] = False
    answers = dataset.answers.among(outside)
    if not len(answers.rows):
        return dataset
    labelled, labels = settle(answers, "dawid_skene")
    observed, truth = dataset.observed.copy(), dataset.truth.copy()
    observed[labelled] = labels
    if answers.true:
        truth[labelled] = labels
    return replace(dataset, observed=observed, truth=truth)


def _converted(dataset: Dataset, train: Rows) -> tuple[Dataset, Conversion | None]:
    """A table with features in the place of cells; all that is learned for it is of train's rows.

    Not of val's and test's, which stand for what comes later; nor of meta's, so that arms with and
    without clean labels see the same features.
    """
    if not dataset.columns:
        return dataset, None
    conversion = Conversion.fit(dataset.columns, dataset.x[train])
    return replace(dataset, x=conversion(dataset.x)), conversion


def _labels(
    dataset: Dataset, noise: Noise, rows: dict[str, Rows], corrupted: list[str], data_seed: int
) -> dict[str, Rows]:
    """Labels as a learner sees them, by split: true ones, and corrupted ones in `corrupted`."""
    # One law for all of them, so that a corrupted val is like train.
    law_rng = keyed_rng(data_seed, "noise law")
    law = transition(noise, dataset.classes, law_rng)
    labels = {name: dataset.truth[part] for name, part in rows.items()}
    for name in corrupted:
        observed = dataset.observed[rows[name]]
        given = np.where(observed < 0, labels[name], observed)  # val may have no label but truth
        labels[name] = corrupt(given, law, keyed_rng(data_seed, f"{name} noise"))
    if "unlabelled" in rows:
        labels["unlabelled"] = np.full(len(rows["unlabelled"]), -1)
    return labels


def _split(dataset: Dataset, rows: Rows, labels: Rows, trusted: bool) -> Split:
    return Split(
        x=examples(dataset.x, rows),
        y=torch.from_numpy(labels),
        truth=torch.from_numpy(dataset.truth[rows]),
        index=torch.from_numpy(rows),
        trusted=torch.full((len(rows),), trusted),
    )

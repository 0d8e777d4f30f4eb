"""Where examples and labels come from: built-in sources, a user's files or function, labels files.

What takes time to decode is decoded once, into a cache of memory-mapped arrays that processes
share: the folder UNTUNED_CACHE, by default ~/.cache/untuned.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import pkgutil
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pipelines.data.cache import _cached, _listing
from pipelines.data.dataset import Dataset, make_dataset, preview
from pipelines.data.files import FILES
from pipelines.data.labels_file import _read_labels
from pipelines.documents import digest
from pipelines.errors import UserError
from pipelines.study.protocol import Data

TORCHVISION = {
    "mnist": "MNIST",
    "fashion_mnist": "FashionMNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "svhn": "SVHN",
}


def load_dataset(data: Data) -> Dataset:
    """Read the source that a study names and apply its labels files.

    Raises:
        UserError: an unknown source, an unreadable file, or values in it that cannot be used.
    """
    _check_used(data)
    dataset = _read(data)
    if data.labels:
        rows, labels = _read_labels(data.labels, dataset)
        observed = dataset.observed.copy()
        observed[rows] = labels
        dataset = replace(dataset, observed=observed)
    if data.trusted:
        rows, labels = _read_labels(data.trusted, dataset)
        truth = np.full_like(dataset.truth, -1)
        truth[rows] = labels
        dataset = replace(dataset, truth=truth)
    return replace(dataset, fingerprint=_fingerprint(dataset))


def _check_used(data: Data) -> None:
    """What a source would not look at must not be given."""
    if data.size and data.source != "image_folder":
        raise UserError(
            f"data.size = {data.size}: only image_folder resizes, the source is {data.source}"
        )
    if data.target != Data().target and data.source != "table":
        raise UserError(
            f"data.target = {data.target!r}: only a table has one, the source is {data.source}"
        )
    if data.path and (data.source == "digits" or ":" in data.source):
        raise UserError(f"data.path = {str(data.path)!r}: {data.source} reads no path")


def _read(data: Data) -> Dataset:
    if ":" in data.source:
        return _own(data.source)
    if data.source == "digits":
        return _cached([data.source], lambda _: _digits())
    if data.source in TORCHVISION:
        place = str(data.path) if data.path else None
        return _cached([data.source, place], lambda folder: _torchvision(data, folder))
    if data.source not in FILES:
        allowed = ", ".join(["digits", *TORCHVISION, *FILES])
        raise UserError(
            f"data.source = {data.source!r}: allowed are {allowed}, or package.module:function"
        )
    needed = "folder" if data.source == "image_folder" else "file"
    if data.path is None or not (data.path.is_dir() if needed == "folder" else data.path.is_file()):
        given = f" = {str(data.path)!r}" if data.path else " is missing"
        raise UserError(f"data.path{given}: {data.source} needs an existing {needed}")
    key = [data.source, str(data.path.resolve()), data.target, data.size, _listing(data.path)]
    return _cached(key, lambda folder: FILES[data.source](data, folder))


def _fingerprint(dataset: Dataset) -> str:
    labels = hashlib.sha256(dataset.observed.tobytes() + dataset.truth.tobytes())
    labels.update(b"" if dataset.test is None else dataset.test.tobytes())
    return digest([dataset.fingerprint, labels.hexdigest(), dataset.classes])


def _own(path: str) -> Dataset:
    try:
        function = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"data.source = {path!r}: cannot be imported: {error}") from None
    made = function()
    if isinstance(made, Dataset):
        fields = dict(vars(made))
        del fields["fingerprint"]
        made = {"y": fields.pop("observed"), **fields}
    allowed = list(inspect.signature(make_dataset).parameters)[1:]
    if not isinstance(made, dict) or not {"x", "y"} <= set(made) <= set(allowed):
        found = preview(made) if isinstance(made, dict) else type(made).__name__
        raise UserError(
            f"data.source = {path!r}: must return a dict with x, y "
            f"and optional {', '.join(allowed[2:])}; found {found}"
        )
    return make_dataset(path, **made)


def _digits() -> Dataset:
    from sklearn.datasets import load_digits  # half of a worker's start-up, were it at the top

    x, y = load_digits(return_X_y=True)
    return make_dataset("digits", x.reshape(-1, 8, 8).astype(np.uint8), y)


def _torchvision(data: Data, folder: Path) -> Dataset:
    import torchvision.datasets  # as above

    kind = getattr(torchvision.datasets, TORCHVISION[data.source])
    parts = []
    with TemporaryDirectory(dir=folder) as temporary, contextlib.redirect_stdout(sys.stderr):
        root = data.path or temporary
        for part in ("train", "test"):
            which = {"split": part} if data.source == "svhn" else {"train": part == "train"}
            try:
                parts.append(kind(root, download=True, **which))
            except (OSError, RuntimeError) as error:
                reason = " ".join(str(error).split())
                raise UserError(
                    f"data.source = {data.source!r}: download to {root} failed: {reason}"
                ) from None
    x = np.concatenate([np.asarray(part.data) for part in parts])
    labels = [np.asarray(part.labels if data.source == "svhn" else part.targets) for part in parts]
    if data.source.startswith("cifar"):
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    test = np.arange(len(x)) >= len(labels[0])
    classes = getattr(parts[0], "classes", range(10))
    return make_dataset(data.source, x, np.concatenate(labels), test=test, classes=classes)

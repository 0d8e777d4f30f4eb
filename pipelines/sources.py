"""Where examples and labels come from: built-in sources, a user's files or function, labels files.

What takes time to decode is decoded once, into a cache of memory-mapped arrays that processes
share: the folder UNTUNED_CACHE, by default ~/.cache/untuned.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import inspect
import json
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipelines.data_files import FILES
from pipelines.dataset import Dataset, make_dataset, some
from pipelines.errors import UserError
from pipelines.study import Data, LabelsFile, digest

FORMAT = 1  # of the cache: raise it when what a source decodes to changes
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
        found = some(made) if isinstance(made, dict) else type(made).__name__
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


def _read_labels(labels: LabelsFile, dataset: Dataset) -> tuple[list[int], list[int]]:
    """Rows of the data set that a labels file names, and the label it gives to each.

    A path may leave out train/; a label may be the number of a class, unless that is a class's
    name.
    """
    rows = {name.removeprefix("train/"): row for row, name in enumerate(dataset.names)}
    rows |= {name: row for row, name in enumerate(dataset.names)}
    codes = {str(number): number for number in range(len(dataset.classes))}
    codes |= {name: number for number, name in enumerate(dataset.classes)}
    found: dict[int, int] = {}
    for line, path, label in _labels_lines(labels):
        origin = f"{labels.file}, line {line}"
        row = rows.get(str(PurePosixPath(path)))
        if row is None:
            example = dataset.names[0]
            raise UserError(f"{origin}: {path!r} names no example; names are like {example!r}")
        if row in found:
            raise UserError(f"{origin}: {path!r} occurs twice")
        if label not in codes:
            raise UserError(f"{origin}: label {label!r}: allowed are {some(dataset.classes)}")
        found[row] = codes[label]
    if not found:
        raise UserError(f"{labels.file}: names no example")
    return list(found), list(found.values())


def _labels_lines(labels: LabelsFile) -> Iterator[tuple[int, str, str]]:
    try:
        with labels.file.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            for column in (labels.path, labels.label):
                if column not in columns:
                    raise UserError(f"{labels.file}: no column {column!r}; it has {some(columns)}")
            for line in reader:
                values = (line[labels.path] or "", line[labels.label] or "")
                yield reader.line_num, values[0].strip(), values[1].strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{labels.file}: cannot be read: {error}") from None


def cache_root() -> Path:
    """Where decoded data is kept."""
    return Path(os.environ.get("UNTUNED_CACHE") or "~/.cache/untuned").expanduser()


def _listing(path: Path) -> list[list[Any]]:
    """Names, sizes and times of a file, or of all files in a folder: change with the content."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return [[f.relative_to(path).as_posix(), (s := f.stat()).st_size, s.st_mtime_ns] for f in files]


def _cached(key: list[Any], make: Callable[[Path], Dataset]) -> Dataset:
    """The data set of that key, from the cache or made now; `make` may write x.npy itself."""
    entry = cache_root() / "data" / digest([FORMAT, *key])
    if not entry.exists():
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(
                dir=entry.parent, prefix=".", ignore_cleanup_errors=True
            ) as temporary:
                _write(make(Path(temporary)), Path(temporary))
                _publish(Path(temporary), entry)
        except OSError as error:
            raise UserError(
                f"cache {cache_root()}: {error}; UNTUNED_CACHE names another folder"
            ) from None
    facts = json.loads((entry / "dataset.json").read_text())
    observed = np.array(facts.pop("labels"), np.int64)
    test = facts.pop("test")
    return Dataset(
        x=np.load(entry / "x.npy", mmap_mode="r"),
        observed=observed,
        truth=observed,
        test=None if test is None else np.array(test, bool),
        **facts,
    )


def _publish(folder: Path, entry: Path) -> None:
    """Make an entry visible by one rename; if another process was first, its entry stands."""
    try:
        folder.rename(entry)
    except OSError:
        if not entry.exists():
            raise


def _write(dataset: Dataset, folder: Path) -> None:
    if not (folder / "x.npy").exists():
        np.save(folder / "x.npy", dataset.x)
    facts = {
        "labels": dataset.observed.tolist(),
        "test": None if dataset.test is None else dataset.test.tolist(),
        "classes": dataset.classes,
        "names": dataset.names,
        "fingerprint": dataset.fingerprint,
    }
    (folder / "dataset.json").write_text(json.dumps(facts))

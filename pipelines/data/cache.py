"""Decoded data, kept as memory-mapped arrays that processes share.

The folder is UNTUNED_CACHE, by default ~/.cache/untuned. An entry is a folder that is written under
another name and made visible by one rename, so it is whole or not there, and any number of
processes may make the same one at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipelines.data.dataset import Dataset
from pipelines.documents import digest
from pipelines.errors import UserError

FORMAT = 1  # of the cache: raise it when what a source decodes to changes


def cache_root() -> Path:
    """Where decoded data is kept."""
    return Path(os.environ.get("UNTUNED_CACHE") or "~/.cache/untuned").expanduser()


def cached(key: list[Any], make: Callable[[Path], Dataset]) -> Dataset:
    """The data set of that key, from the cache or made now.

    make: is given an empty folder, and may write x.npy there itself, so that large data never lies
    in memory as a whole.

    Raises:
        UserError: the cache cannot be written; or as `make` does.
    """
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
    return _read(entry)


def _read(entry: Path) -> Dataset:
    metadata = json.loads((entry / "dataset.json").read_text())
    observed = np.array(metadata.pop("labels"), np.int64)
    left_out = metadata.pop("left_out", ())  # entries from before it have none
    test = metadata.pop("test")
    return Dataset(
        x=np.load(entry / "x.npy", mmap_mode="r"),
        observed=observed,
        truth=observed,
        test=None if test is None else np.array(test, bool),
        left_out=tuple(left_out),
        **metadata,
    )


def _write(dataset: Dataset, folder: Path) -> None:
    if not (folder / "x.npy").exists():
        np.save(folder / "x.npy", dataset.x)
    metadata = {
        "labels": dataset.observed.tolist(),
        "test": None if dataset.test is None else dataset.test.tolist(),
        "classes": dataset.classes,
        "names": dataset.names,
        "fingerprint": dataset.fingerprint,
        "left_out": dataset.left_out,
    }
    (folder / "dataset.json").write_text(json.dumps(metadata))


def _publish(folder: Path, entry: Path) -> None:
    """Make an entry visible by one rename; if another process was first, its entry stands."""
    try:
        folder.rename(entry)
    except OSError:
        if not entry.exists():
            raise

"""Decoded data, kept as memory-mapped arrays that processes share.

The folder is UNTUNED_CACHE, by default ~/.cache/untuned. An entry is a folder that is written under
another name and made visible by one rename, so it is whole or not there, and any number of
processes may make the same one at once. One that is no longer as it was written is seen when it is
read, and made anew.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import numpy as np

from pipelines.data.columns import Column
from pipelines.data.dataset import Dataset, content_hash
from pipelines.documents import decode, digest, encode
from pipelines.errors import UserError, one_line

FORMAT = 1  # of the cache: raise it when what a source decodes to changes
ATTEMPTS = 3  # at making an entry: others may be at it, too


class _Damaged(Exception):
    """An entry is there, and not as it was written."""


def cache_root() -> Path:
    """Where decoded data is kept.

    Raises:
        UserError: it is in the home of nobody.
    """
    folder = os.environ.get("UNTUNED_CACHE") or "~/.cache/untuned"
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise UserError(f"cache {folder}: {error}; UNTUNED_CACHE names another folder") from None


def cached(key: list[Any], make: Callable[[Path], Dataset]) -> Dataset:
    """The data set of that key, from the cache or made now.

    make: is given an empty folder, and may write x.npy there itself, so that large data never lies
    in memory as a whole.

    Raises:
        UserError: the cache cannot be written; or as `make` does.
    """
    entry = cache_root() / "data" / digest([FORMAT, *key])
    problem = ""
    for _ in range(ATTEMPTS):
        try:
            if entry.exists():
                return _read(entry)
        except _Damaged as damage:
            problem = f"damaged ({damage})"
            print(f"cache entry {entry}: {problem}; decoded anew", file=sys.stderr)
        try:
            _make(entry, make)
        except OSError as error:
            if not _of_the_cache(error):
                raise
            problem = one_line(error)
            break
    else:
        with suppress(_Damaged):
            return _read(entry)
    raise UserError(f"cache {cache_root()}: {problem}; UNTUNED_CACHE names another folder")


def _of_the_cache(error: OSError) -> bool:
    """Whether it is the cache that could not be used, and not the data that goes into it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return error.filename is not None and Path(error.filename).is_relative_to(cache_root())


def _read(entry: Path) -> Dataset:
    """The data set of an entry; every byte of it is looked at."""
    try:
        x = np.load(entry / "x.npy", mmap_mode="r")
        metadata = decode((entry / "dataset.json").read_bytes())
        if metadata is None or content_hash(x) != metadata["fingerprint"]:
            raise _Damaged(f"{'dataset.json' if metadata is None else 'x.npy'} has changed")
        observed = np.array(metadata.pop("labels"), np.int64)
        truth = metadata.pop("truth", None)  # where it is another than what is observed
        left_out = metadata.pop("left_out", ())  # entries from before it have none
        set_aside = metadata.pop("set_aside", ())
        columns = metadata.pop("columns", ())
        test = metadata.pop("test")
        return Dataset(
            x=x,
            observed=observed,
            truth=observed if truth is None else np.array(truth, np.int64),
            test=None if test is None else np.array(test, bool),
            left_out=tuple(left_out),
            set_aside=tuple(set_aside),
            columns=tuple(map(Column.from_state, columns)),
            **metadata,
        )
    except _Damaged:
        raise
    except Exception as error:  # whatever numpy makes of a damaged file
        raise _Damaged(one_line(error)) from None


def _make(entry: Path, make: Callable[[Path], Dataset]) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=entry.parent, prefix=".", ignore_cleanup_errors=True) as temporary:
        _write(make(Path(temporary)), Path(temporary))
        _publish(Path(temporary), entry)


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
        "set_aside": dataset.set_aside,
        "columns": [column.state() for column in dataset.columns],
    }
    if not np.array_equal(dataset.truth, dataset.observed):
        metadata["truth"] = dataset.truth.tolist()
    (folder / "dataset.json").write_bytes(encode(metadata))


def _publish(folder: Path, entry: Path) -> None:
    """Make an entry visible by one rename; if another process was first, its entry stands."""
    if entry.exists():
        with suppress(_Damaged):
            _read(entry)
            return
        # Who still reads the damaged one keeps its files; who comes now finds none.
        aside = entry.with_name(f".{uuid4().hex}")
        with suppress(FileNotFoundError):
            entry.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
    try:
        folder.rename(entry)
    except OSError:
        if not entry.exists():
            raise

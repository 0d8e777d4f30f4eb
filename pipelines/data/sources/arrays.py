"""Arrays in an .npz file: x and y, and for a test set of their own x_test and y_test."""

from __future__ import annotations

import math
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset, make_dataset, preview
from pipelines.data.source import Source
from pipelines.errors import UserError, one_line
from pipelines.study.protocol import Data

NEEDED = {"x", "y"}
KNOWN = NEEDED | {"x_test", "y_test", "classes", "names", "names_test"}
NPY = b"\x93NUMPY"  # how a file of a single array begins
LOCAL_HEADER, DESCRIPTOR = 30, 24  # bytes before a zip's entry, and at most behind it


def _read(data: Data, folder: Path) -> Dataset:
    assert data.path
    arrays = _load(data.path)
    x, y, test = arrays["x"], arrays["y"], None
    classes = arrays.get("classes")
    if classes is not None and classes.ndim != 1:
        raise UserError(
            f"{data.path}: classes has shape {classes.shape}; needed is a list of names"
        )
    if {"x_test", "y_test"} & set(arrays):
        if not all(_alike(arrays[name], arrays.get(f"{name}_test")) for name in NEEDED):
            raise UserError(f"{data.path}: x_test and y_test are both needed, shaped like x and y")
        test = np.arange(len(x) + len(arrays["x_test"])) >= len(x)
        x, y = np.concatenate([x, arrays["x_test"]]), np.concatenate([y, arrays["y_test"]])
    listed = None if classes is None else classes.tolist()
    return make_dataset(
        str(data.path), x, y, test=test, classes=listed, names=_names(data.path, arrays)
    )


def _names(path: Path, arrays: dict[str, NDArray[Any]]) -> list[str] | None:
    """What a labels file calls the examples: their names, and where there are none row numbers."""
    names: list[str] = []
    if not {"names", "names_test"} & set(arrays):
        return None
    for suffix in ("", "_test"):
        n = len(arrays[f"x{suffix}"]) if f"x{suffix}" in arrays else 0
        numbers = np.arange(len(names), len(names) + n)
        given = arrays.get(f"names{suffix}", numbers)
        if given.shape != (n,):
            raise UserError(
                f"{path}: names{suffix} has shape {given.shape}, x{suffix} {n} examples"
            )
        names += map(str, given.tolist())
    return names


def _alike(one: NDArray[Any], other: NDArray[Any] | None) -> bool:
    """Whether one array can follow the other: numpy would turn numbers beside text into text."""
    if other is None or not one.ndim or not other.ndim:
        return False
    both_text = (one.dtype.kind == "U") == (other.dtype.kind == "U")
    return both_text and one.shape[1:] == other.shape[1:]


def _load(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name."""
    try:
        with path.open("rb") as file:
            if file.read(len(NPY)) == NPY:
                raise UserError(
                    f"{path}: is a single array (.npy); needed is an .npz file with x and y: "
                    "numpy.savez('data.npz', x=x, y=y)"
                )
        with zipfile.ZipFile(path) as archive:
            _check_directory(archive)
            entries = {e.filename.removesuffix(".npy"): e for e in archive.infolist()}
            if not NEEDED <= set(entries) <= KNOWN:
                raise UserError(
                    f"{path}: holds {preview(entries) or 'nothing'}; needed are x, y, optional "
                    "x_test, y_test, classes, names, names_test"
                )
            return {name: _array(archive, entry) for name, entry in entries.items()}
    except UserError:
        raise
    # A damaged or hostile file makes zipfile, zlib and numpy raise whatever they happen to raise.
    except (Exception, MemoryError) as error:
        raise UserError(f"{path}: cannot be read as .npz: {one_line(error)}") from None


def _check_directory(archive: zipfile.ZipFile) -> None:
    """What an archive lists must fill it: else damage to the list might hide an array.

    Raises:
        ValueError: it does not.
    """
    names = [entry.filename.removesuffix(".npy") for entry in archive.infolist()]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two arrays are called {min(twice)!r}")
    end = 0  # of the last entry, and where the next one begins
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        _refuse_gap(end, entry.header_offset)
        assert archive.fp is not None
        archive.fp.seek(entry.header_offset + LOCAL_HEADER - 4)
        lengths = struct.unpack("<HH", archive.fp.read(4))  # of its name, of what else there is
        end = entry.header_offset + LOCAL_HEADER + sum(lengths) + entry.compress_size
    _refuse_gap(end, archive.start_dir)


def _refuse_gap(end: int, start: int) -> None:
    if not 0 <= start - end <= DESCRIPTOR:
        raise ValueError(f"its directory does not say what its bytes {end:,} to {start:,} are")


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    """One array, once its header is known to speak of no more than the archive holds."""
    with archive.open(entry) as file:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(file)
        if dtype.hasobject:
            raise ValueError(
                f"{entry.filename} holds Python objects: save text as numpy.array(..., dtype=str)"
            )
        size, rest = math.prod(shape) * dtype.itemsize, entry.file_size - file.tell()
        if size != rest:
            raise ValueError(f"{entry.filename} should hold {size:,} bytes and holds {rest:,}")
    with archive.open(entry) as file:
        return npy.read_array(file, allow_pickle=False)


def _example(data: Data) -> list[str]:
    return ["import numpy", f"inputs = numpy.load({str(data.path)!r})['x'][:5]"]


SOURCES = (Source("arrays", _read, path="file", suffixes=(".npz",), example=_example),)

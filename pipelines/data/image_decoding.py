"""Many image files at once, decoded into one memory-mapped array."""

from __future__ import annotations

import os
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from rich.filesize import decimal

from pipelines.data.dataset import preview
from pipelines.data.images import Header, Unreadable, for_each, read_header, read_pixels
from pipelines.errors import UserError
from pipelines.study.protocol import Data

SIDES = (32, 64, 128, 224)  # pixels, that images of different sizes are resized to
LISTED = 100  # unreadable images that a message names


def side_for(sizes: Counter[tuple[int, int]]) -> int | None:
    """Side to resize images to: none if all are alike and not large."""
    if len(sizes) == 1 and max(next(iter(sizes))) <= SIDES[-1]:
        return None
    short = np.median([min(size) for size in sizes.elements()]) if sizes else SIDES[0]
    return max([side for side in SIDES if side <= short], default=SIDES[0])


def decode_images(
    data: Data, paths: list[Path], folder: Path
) -> tuple[list[Path], NDArray[np.uint8]]:
    """The images that can be decoded, and their pixels [N, C, H, W], memory-mapped in a folder.

    Raises:
        UserError: some cannot be decoded, and the study does not say to leave them out.
    """
    assert data.path
    headers = dict(zip(paths, for_each(paths, read_header, "looking at images"), strict=True))
    broken = _unreadable(headers)
    good = {path: header for path, header in headers.items() if isinstance(header, Header)}
    if broken and (not good or not data.skip_broken):
        # Those that only decoding finds are named in the same message.
        _refuse(data.path, broken | _undecodable(good), len(paths))
    x, undecodable = _decode_into(data, good, folder)
    if undecodable and not data.skip_broken:
        _refuse(data.path, undecodable, len(paths))
    if undecodable:
        del x  # its file is written anew
        return decode_images(data, [path for path in good if path not in undecodable], folder)
    return list(good), x


def _decode_into(
    data: Data, headers: dict[Path, Header], folder: Path
) -> tuple[NDArray[np.uint8], dict[Path, str]]:
    """Pixels of images, memory-mapped; grey if all are, else RGB. And why some have none."""
    paths = list(headers)
    size = (data.size, data.size) if data.size else _common_size(headers)
    mode = "L" if all(header.mode in ("1", "L") for header in headers.values()) else "RGB"
    x = _allocate(data, folder, (len(paths), len(mode), size[1], size[0]))

    def store(row: int) -> None:
        x[row] = read_pixels(paths[row], headers[paths[row]], mode, size)

    results = for_each(range(len(paths)), store, "decoding images")
    return x, _unreadable(dict(zip(paths, results, strict=True)))


def _undecodable(headers: dict[Path, Header]) -> dict[Path, str]:
    """Why images cannot be decoded that look well."""
    paths = list(headers)
    results = for_each(paths, lambda p: read_pixels(p, headers[p], "L", (1, 1)), "checking images")
    return _unreadable(dict(zip(paths, results, strict=True)))


def _unreadable(results: dict[Path, Any]) -> dict[Path, str]:
    return {path: str(r) for path, r in results.items() if isinstance(r, Unreadable)}


def _refuse(root: Path, broken: dict[Path, str], number: int) -> NoReturn:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for path, reason in sorted(broken.items()):
        by_reason[reason].append(path.relative_to(root).as_posix())
    listed = "; ".join(f"{preview(n, LISTED)} ({reason})" for reason, n in by_reason.items())
    raise UserError(
        f"{root}: {len(broken)} of {number} images cannot be read: {listed}. Repair or remove "
        "them, or leave them out with `skip_broken: true` under data (new --skip-broken)"
    )


def _common_size(headers: dict[Path, Header]) -> tuple[int, int]:
    """(width, height), which all images must share where they are not resized."""
    (first, header), *others = headers.items()
    for path, other in others:
        if other.size != header.size:
            raise UserError(
                f"{path}: is {other.size}, {first.name} is {header.size}; "
                "set data.size to resize all"
            )
    return header.size


def _allocate(data: Data, folder: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    needed, free = int(np.prod(shape, dtype=object)), shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"data.size = {data.size}: {shape[0]:,} images of {shape[3]:,} x {shape[2]:,} pixels "
            f"take {decimal(needed)}, and the cache {folder.parent.parent} has {decimal(free)} left"
        )
    x = open_memmap(folder / "x.npy", "w+", np.uint8, shape)
    if hasattr(os, "posix_fallocate"):  # not on macOS
        # A disk that fills up meanwhile would end the process, as it writes to mapped memory.
        with (folder / "x.npy").open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    return x

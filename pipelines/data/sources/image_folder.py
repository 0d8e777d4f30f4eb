"""A folder of images: CLASS/..., or train/CLASS/... beside test/CLASS/...; or images alone."""

from __future__ import annotations

import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from rich.filesize import decimal

from pipelines.data.dataset import Dataset, make_dataset, preview
from pipelines.data.images import SUFFIXES, Header, Unreadable, for_each, read_header, read_pixels
from pipelines.data.source import FirstLook, Source
from pipelines.errors import UserError, one_line
from pipelines.study.protocol import Data

SIDES = (32, 64, 128, 224)  # pixels, that images of different sizes are resized to
LISTED = 100  # unreadable images that a message names


# ---- which files


def _parts(root: Path) -> list[Path]:
    """The folders of class folders: train and test, or the root itself."""
    names = [name for name in ("train", "test") if (root / name).is_dir()]
    if len(names) == 1:
        raise UserError(
            f"data.path = {str(root)!r}: has {names[0]}/, but not both train/ and test/"
        )
    return [root / name for name in names] or [root]


def _classes(part: Path) -> list[str]:
    """Names of the class folders."""
    return sorted(p.name for p in part.iterdir() if p.is_dir() and not p.name.startswith("."))


def _files_below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """All that is no folder, at any depth; links are followed, but not to a folder above."""
    real = folder.resolve()
    if real in above:
        return
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if Path(entry.path).is_dir():  # not entry.is_dir(), which a circle of links upsets
                    yield from _files_below(folder / entry.name, (*above, real))
                else:
                    yield folder / entry.name
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed: {one_line(error)}") from None


def _is_read(file: Path, part: Path) -> bool:
    """Whether a file has the name of an image, and neither it nor a folder of it is hidden."""
    hidden = any(name.startswith(".") for name in file.relative_to(part).parts)
    return file.suffix.lower() in SUFFIXES and not hidden


def _is_flat(part: Path) -> bool:
    """Whether images lie in the folder itself, and none in folders of classes."""
    directly = any(_is_read(file, part) for file in part.iterdir() if not file.is_dir())
    return directly and not _classes(part)


def _files(part: Path) -> list[Path]:
    """The files in the class folders of a part; where there are none, those in it."""
    if _is_flat(part):
        return [file for file in part.iterdir() if not file.is_dir()]
    above = (part.resolve(),)
    return [file for name in _classes(part) for file in _files_below(part / name, above)]


def _images(part: Path) -> list[Path]:
    return sorted(file for file in _files(part) if _is_read(file, part))


def _all_images(root: Path) -> list[Path]:
    return sorted(image for part in _parts(root) for image in _images(part))


# ---- what `new` sees


def _look(data: Data) -> FirstLook:
    assert data.path
    images = _all_images(data.path)
    headers = [h for h in for_each(images, read_header) if isinstance(h, Header)]
    sizes = Counter(header.size for header in headers)
    turned = sum(header.turned for header in headers)
    files = [file for part in _parts(data.path) for file in _files(part)]
    notes = []
    if others := len(files) - len(images):
        notes.append(("left out", f"{others:,} files that are no images, or hidden"))
    if turned:
        notes.append(("turned", f"{turned:,} images, as their EXIF orientation says"))
    return FirstLook({"size": _side(sizes)}, sizes, notes)


def _side(sizes: Counter[tuple[int, int]]) -> int | None:
    """Side to resize images to: none if all are alike and not large."""
    if len(sizes) == 1 and max(next(iter(sizes))) <= SIDES[-1]:
        return None
    short = np.median([min(size) for size in sizes.elements()]) if sizes else SIDES[0]
    return max([side for side in SIDES if side <= short], default=SIDES[0])


# ---- reading


def _read(data: Data, folder: Path) -> Dataset:
    root = data.path
    assert root
    parts = _parts(root)
    part_of = {image: part for part in parts for image in _images(part)}
    if empty := set(parts) - set(part_of.values()):
        raise UserError(f"{min(empty)}: holds no images in folders named by their class")
    images, x = _decode(data, list(part_of), folder)
    left_out = sorted(set(part_of) - set(images))
    names = [image.relative_to(root).as_posix() for image in images]
    dataset = _labelled(root, parts, part_of, images, x, names)
    return replace(dataset, left_out=tuple(i.relative_to(root).as_posix() for i in left_out))


def _labelled(
    root: Path,
    parts: list[Path],
    part_of: dict[Path, Path],
    images: list[Path],
    x: NDArray[np.uint8],
    names: list[str],
) -> Dataset:
    """Images with the classes that their folders are called by; none where they lie in none."""
    if _is_flat(root):
        nobody = np.full(len(images), -1)
        dataset = make_dataset(str(root), x, nobody, classes=("0", "1"), names=names)
        return replace(dataset, classes=[])  # a labels file will say
    labels = [image.relative_to(part_of[image]).parts[0] for image in images]
    in_test = np.array([part_of[image] != parts[0] for image in images])
    classes = _classes(parts[0])
    if empty := set(classes) - set(compress(labels, ~in_test)):
        raise UserError(f"{parts[0] / min(empty)}: holds no images")
    return make_dataset(
        str(root),
        x,
        labels,
        test=in_test if len(parts) > 1 else None,
        classes=classes,
        names=names,
    )


def _decode(data: Data, paths: list[Path], folder: Path) -> tuple[list[Path], NDArray[np.uint8]]:
    """The images that can be decoded, and their pixels [N, C, H, W], memory-mapped in a folder.

    Raises:
        UserError: some cannot be decoded, and the study does not say to leave them out.
    """
    assert data.path
    headers = dict(zip(paths, for_each(paths, read_header), strict=True))
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
        return _decode(data, [path for path in good if path not in undecodable], folder)
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


def _example(data: Data) -> list[str]:
    assert data.path
    return [f"inputs = [{str(image)!r}]" for image in _all_images(data.path)[:1]]


SOURCES = (
    Source(
        "image_folder",
        _read,
        path="folder",
        options=("size", "skip_broken"),
        files=_all_images,
        look=_look,
        example=_example,
    ),
)

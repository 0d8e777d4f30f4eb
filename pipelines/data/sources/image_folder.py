"""A folder of images: CLASS/..., or train/CLASS/... beside test/CLASS/...."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track

from pipelines.data.dataset import Dataset, make_dataset, preview
from pipelines.data.source import FirstLook, Source
from pipelines.errors import UserError
from pipelines.study.protocol import Data

SIDES = (32, 64, 128, 224)  # pixels, that images of different sizes are resized to


class Header(NamedTuple):
    """What a file says of its image before it is decoded: (width, height), and Pillow's mode."""

    size: tuple[int, int]
    mode: str


# ---- which files


def part_folders(root: Path) -> list[Path]:
    """The folders of class folders: train and test, or the root itself."""
    names = [name for name in ("train", "test") if (root / name).is_dir()]
    if len(names) == 1:
        raise UserError(
            f"data.path = {str(root)!r}: has {names[0]}/, but not both train/ and test/"
        )
    return [root / name for name in names] or [root]


def _images(part: Path) -> list[Path]:
    """Images in the class folders of a part, at any depth; hidden files are left out."""
    from torchvision.datasets.folder import IMG_EXTENSIONS  # slow to import

    files = (path.relative_to(part) for path in part.glob("*/**/*"))
    images = [f for f in files if f.suffix.lower() in IMG_EXTENSIONS]
    visible = sorted(f for f in images if not any(name.startswith(".") for name in f.parts))
    if not visible:
        raise UserError(f"{part}: holds no images in folders named by their class")
    return [part / f for f in visible]


# ---- what `new` sees


def _look(root: Path) -> FirstLook:
    """Sizes of the images, and how many other files lie among them."""
    from torchvision.datasets.folder import IMG_EXTENSIONS

    parts = [root / part for part in ("train", "test") if (root / part).is_dir()] or [root]
    files = [p for part in parts for p in part.glob("*/**/*") if p.is_file()]
    shown = [f for f in files if not any(p[0] == "." for p in f.relative_to(root).parts)]
    images = [f for f in shown if f.suffix.lower() in IMG_EXTENSIONS]
    sizes: Counter[tuple[int, int]] = Counter()
    broken = []
    for image in images:
        try:
            with Image.open(image) as opened:
                sizes[opened.size] += 1
        except OSError:
            broken.append(image.relative_to(root).as_posix())
    if broken:
        raise UserError(
            f"{root}: {len(broken)} of {len(images)} images cannot be read; repair or remove "
            f"{preview(sorted(broken))}"
        )
    return FirstLook({"size": _side(sizes)}, sizes, len(files) - len(images))


def _side(sizes: Counter[tuple[int, int]]) -> int | None:
    """Side to resize images to: none if all are alike and not large."""
    if len(sizes) == 1 and max(next(iter(sizes))) <= SIDES[-1]:
        return None
    short = np.median([min(size) for size in sizes.elements()]) if sizes else SIDES[0]
    return max([side for side in SIDES if side <= short], default=SIDES[0])


# ---- decoding


def _read(data: Data, folder: Path) -> Dataset:
    root = data.path
    assert root
    parts = part_folders(root)
    classes = sorted(p.name for p in parts[0].iterdir() if p.is_dir() and p.name[0] != ".")
    images = [_images(part) for part in parts]
    labels = [
        path.relative_to(part).parts[0]
        for part, paths in zip(parts, images, strict=True)
        for path in paths
    ]
    if empty := set(classes) - set(labels[: len(images[0])]):
        raise UserError(f"{parts[0] / min(empty)}: holds no images")
    paths = [path for part in images for path in part]
    return make_dataset(
        str(root),
        _decode(paths, data.size, folder),
        labels,
        test=np.arange(len(paths)) >= len(images[0]) if len(parts) > 1 else None,
        classes=classes,
        names=[path.relative_to(root).as_posix() for path in paths],
    )


def _decode(paths: list[Path], side: int | None, folder: Path) -> NDArray[np.uint8]:
    """Images [N, C, H, W], memory-mapped in the folder; grey if all are, else RGB."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        headers = list(threads.map(_header, paths))
        width, height = (side, side) if side else _common_size(paths, headers)
        mode = "L" if all(header.mode in ("1", "L") for header in headers) else "RGB"
        shape = (len(paths), len(mode), height, width)
        x = open_memmap(folder / "x.npy", "w+", np.uint8, shape)

        def decode(row: int) -> None:
            try:
                with Image.open(paths[row]) as image:
                    resized = image.convert(mode).resize((width, height), Image.Resampling.BILINEAR)
                    pixels = np.asarray(resized)
            except OSError as error:
                raise UserError(f"{paths[row]}: cannot be decoded: {error}") from None
            x[row] = pixels.reshape(height, width, -1).transpose(2, 0, 1)

        done = threads.map(decode, range(len(paths)))
        for _ in track(done, "decoding images", len(paths), console=Console(stderr=True)):
            pass
    return x


def _header(path: Path) -> Header:
    try:
        with Image.open(path) as image:
            if image.mode[0] in "IF":
                raise UserError(
                    f"{path}: has mode {image.mode}: images must have 8 bits per channel"
                )
            return Header(image.size, image.mode)
    except OSError as error:
        raise UserError(f"{path}: cannot be read as an image: {error}") from None


def _common_size(paths: list[Path], headers: list[Header]) -> tuple[int, int]:
    """(width, height), which all images must share where they are not resized."""
    first = headers[0].size
    for path, header in zip(paths, headers, strict=True):
        if header.size != first:
            raise UserError(
                f"{path}: is {header.size}, {paths[0].name} is {first}; set data.size to resize all"
            )
    return first


SOURCES = (Source("image_folder", _read, path="folder", options=("size",), look=_look),)

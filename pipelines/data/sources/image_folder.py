"""A folder of images: CLASS/..., or train/CLASS/... beside test/CLASS/...; or images alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset, make_dataset
from pipelines.data.image_decoding import decode_images, side_for
from pipelines.data.images import SUFFIXES, Header, for_each, read_header
from pipelines.data.source import FirstLook, Source
from pipelines.errors import UserError, one_line
from pipelines.study.protocol import Data

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
                path = folder / entry.name
                # Only a link is followed, by Path.is_dir: a circle of them upsets entry.is_dir.
                if path.is_dir() if entry.is_symlink() else entry.is_dir():
                    yield from _files_below(path, (*above, real))
                else:
                    yield path
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


def _kinds(files: Iterable[Path]) -> str:
    """Files that are not read as images, in words: 12 .gif, 1 hidden."""
    kinds = Counter(
        "hidden" if file.name.startswith(".") else file.suffix.lower() or "without an ending"
        for file in files
    )
    by_number = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number:,} {kind}" for kind, number in by_number)


def _nothing_in(folder: Path, what: str) -> UserError:
    kinds = _kinds(_files_below(folder, ())) or "none"
    return UserError(f"{folder}: {what}; its files: {kinds}; images are {', '.join(SUFFIXES)}")


# ---- what `new` sees


def _look(data: Data) -> FirstLook:
    assert data.path
    listed = [(file, part) for part in _parts(data.path) for file in _files(part)]
    images = sorted(file for file, part in listed if _is_read(file, part))
    looked = for_each(images, read_header, "looking at images")
    headers = [header for header in looked if isinstance(header, Header)]
    sizes = Counter(header.size for header in headers)
    turned = sum(header.turned for header in headers)
    notes = []
    if kinds := _kinds({file for file, _ in listed} - set(images)):
        notes.append(("left out", f"{kinds}; images are {', '.join(SUFFIXES)}"))
    if turned:
        notes.append(("turned", f"{turned:,}, as their EXIF orientation says"))
    return FirstLook({"size": side_for(sizes)}, sizes, notes)


# ---- reading


def _read(data: Data, folder: Path) -> Dataset:
    root = data.path
    assert root
    parts = _parts(root)
    part_of = {image: part for part in parts for image in _images(part)}
    if empty := set(parts) - set(part_of.values()):
        raise _nothing_in(min(empty), "holds no images in folders named by their class")
    images, x = decode_images(data, list(part_of), folder)
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
        raise _nothing_in(parts[0] / min(empty), "holds no images")
    return make_dataset(
        str(root),
        x,
        labels,
        test=in_test if len(parts) > 1 else None,
        classes=classes,
        names=names,
    )


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

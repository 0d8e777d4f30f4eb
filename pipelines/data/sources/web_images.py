"""Large sets of images from the web, in the layout of their authors: Clothing1M and WebVision.

Lists beside the images name them and give their labels, one image a line. What is listed is read,
whatever else lies there; so a part of a set is had by shorter lists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipelines.data.dataset import Dataset, make_dataset
from pipelines.data.image_decoding import decode_images, side_for
from pipelines.data.images import Header, for_each, read_header
from pipelines.data.source import FirstLook, Source
from pipelines.errors import UserError, one_line
from pipelines.study.protocol import Data

CLOTHING = "noisy_label_kv.txt"
WEBVISION = "train_filelist_*.txt"
LOOKED_AT = 1000  # images, for their sizes


@dataclass
class _Lists:
    """What lists say: numbers of classes by an image's name, which are for testing, and names.

    names: of all images, rising; classes: by their numbers; files: the lists themselves.
    """

    observed: dict[str, int]
    truth: dict[str, int]
    test: set[str]
    classes: list[str]
    files: list[Path]

    @property
    def names(self) -> list[str]:
        return sorted(self.observed.keys() | self.truth.keys())


def _clothing1m(root: Path) -> _Lists:
    """Xiao et al. 2015: a million noisy labels, and verified ones, of them some for testing."""
    folder = _below(root, CLOTHING)
    if folder is None:
        raise UserError(f"{root}: neither it nor annotations/ in it has {CLOTHING}")
    observed = _labels(folder / CLOTHING)
    clean, tested = folder / "clean_label_kv.txt", folder / "clean_test_key_list.txt"
    truth = _labels(clean) if clean.exists() else {}
    test = {line for _, line in _lines(tested)} if tested.exists() else set()
    if unknown := test - truth.keys():
        raise UserError(f"{tested}: {min(unknown)} has no label in {clean.name}")
    named = folder / "category_names_eng.txt"
    classes = [line for _, line in _lines(named)] if named.exists() else []
    return _Lists(observed, truth, test, classes, sorted(folder.glob("*.txt")))


def _webvision(root: Path) -> _Lists:
    """Li et al. 2017: labels by the words that were searched for; verified ones for testing."""
    info = root / "info"
    observed = dict[str, int]()
    for file in sorted(info.glob(WEBVISION)):
        observed |= _labels(file)
    if not observed:
        raise UserError(f"{info}: no list {WEBVISION} in it names an image")
    tested, truth = info / "val_filelist.txt", dict[str, int]()
    if tested.exists():
        folders = [p.name for p in (root / "val_images_256", root / "val_images") if p.is_dir()]
        if not folders:
            raise UserError(f"{root}: has neither val_images_256/ nor val_images/")
        truth = {f"{folders[0]}/{name}": label for name, label in _labels(tested).items()}
    synsets = info / "synsets.txt"
    classes = [line.partition(" ")[2] for _, line in _lines(synsets)] if synsets.exists() else []
    return _Lists(observed | truth, truth, set(truth), classes, sorted(info.glob("*.txt")))


def _below(root: Path, name: str) -> Path | None:
    """The folder that has the lists: of the set itself, or one in it."""
    return next((p for p in (root, root / "annotations") if (p / name).is_file()), None)


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their numbers."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read: {one_line(error)}") from None
    return ((n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip())


def _labels(file: Path) -> dict[str, int]:
    """Numbers of classes by images' names, of lines NAME NUMBER."""
    labels = dict[str, int]()
    for number, line in _lines(file):
        name, _, label = line.rpartition(" ")
        if not name or not (label.isascii() and label.isdecimal()):
            raise UserError(
                f"{file}, line {number}: {line!r}: must be an image and the number of its class"
            )
        if labels.setdefault(name, int(label)) != int(label):
            raise UserError(
                f"{file}, line {number}: {name} has two labels, {labels[name]} and {label}"
            )
    return labels


def _read(data: Data, folder: Path, lists_of: Callable[[Path], _Lists]) -> Dataset:
    root = data.path
    assert root
    lists = lists_of(root)
    path_of = {root / name: name for name in lists.names}
    images, x = decode_images(data, list(path_of), folder)
    names = [path_of[image] for image in images]
    numbers = _numbers(root, lists)
    observed, truth = (
        [numbers[known[name]] if name in known else -1 for name in names]
        for known in (lists.observed, lists.truth)
    )
    dataset = make_dataset(
        str(root),
        x,
        np.array(observed),
        truth=np.array(truth),
        test=np.array([name in lists.test for name in names]) if lists.test else None,
        classes=[lists.classes[label] if lists.classes else str(label) for label in numbers],
        names=names,
    )
    return replace(dataset, left_out=tuple(sorted(set(lists.names) - set(names))))


def _numbers(root: Path, lists: _Lists) -> dict[int, int]:
    """Numbers of the classes that images have, from 0, by those of the lists."""
    labels = sorted(set(lists.observed.values()) | set(lists.truth.values()))
    if lists.classes and labels[-1] >= len(lists.classes):
        raise UserError(f"{root}: an image has class {labels[-1]}, of {len(lists.classes)} classes")
    return {label: number for number, label in enumerate(labels)}


def _look(data: Data, lists_of: Callable[[Path], _Lists]) -> FirstLook:
    assert data.path
    names = lists_of(data.path).names
    some = [data.path / name for name in names[:: max(1, len(names) // LOOKED_AT)]]
    headers = [h for h in for_each(some, read_header) if isinstance(h, Header)]
    sizes = Counter(header.size for header in headers)
    return FirstLook({"size": side_for(sizes)}, sizes)


def _files(root: Path, lists: _Lists) -> list[Path]:
    return [*lists.files, *(root / name for name in lists.names)]


def _example(data: Data, lists_of: Callable[[Path], _Lists]) -> list[str]:
    assert data.path
    return [f"inputs = [{str(data.path / lists_of(data.path).names[0])!r}]"]


def _source(
    name: str, lists_of: Callable[[Path], _Lists], known_by: Callable[[Path], bool]
) -> Source:
    return Source(
        name,
        lambda data, folder: _read(data, folder, lists_of),
        path="folder",
        options=("size", "skip_broken"),
        files=lambda root: _files(root, lists_of(root)) if known_by(root) else [],
        look=lambda data: _look(data, lists_of),
        example=lambda data: _example(data, lists_of),
        known_by=known_by,
    )


SOURCES = (
    _source("clothing1m", _clothing1m, lambda root: _below(root, CLOTHING) is not None),
    _source("webvision", _webvision, lambda root: any((root / "info").glob(WEBVISION))),
)

"""A look at a person's own data: classes, sizes, images, duplicates, odd files."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from pipelines.data.dataset import Dataset, preview
from pipelines.data.labels_file import _labels_file
from pipelines.data.sources import load_dataset
from pipelines.errors import UserError
from pipelines.study.protocol import Data

SIDES = (32, 64, 128, 224)  # that images of different sizes are resized to
FEWEST = 5  # examples of a class: one each for test, val and meta, and two to train on


@dataclass(frozen=True)
class Survey:
    """What was seen of the data.

    counts: examples of each class outside the source's own test set, by observed label. sizes: of
    the images in the files, as (width, height). left_out: files that are no images. duplicates:
    examples that equal an earlier one; across: those of them whose twin is on the other side of the
    source's own test set; contradicting: those whose twin has another label. relabelled: share of
    labels that a labels file changes.
    """

    data: Data
    dataset: Dataset
    counts: list[int]
    sizes: Counter[tuple[int, int]]
    left_out: int
    duplicates: int
    across: int
    contradicting: int
    relabelled: float

    @property
    def imbalance(self) -> float:
        """Size of the largest class over that of the smallest."""
        return max(self.counts) / min(self.counts)


def survey(path: Path, labels: Path | None, target: str) -> Survey:
    """Look at the data: all of it is read, and decoded into the cache.

    Raises:
        UserError: it cannot be read, or a class has too few examples.
    """
    if path.is_dir():
        sizes, left_out = _look_at_images(path)
        data = Data(source="image_folder", path=path, size=_side(sizes))
    elif path.suffix == ".npz":
        sizes, left_out = Counter(), 0
        data = Data(source="arrays", path=path)
    else:
        sizes, left_out = Counter(), 0
        data = Data(source="table", path=path, target=target)
    if labels:
        data = data.model_copy(update={"labels": _labels_file(labels)})
    dataset = load_dataset(data)
    ours = np.ones(len(dataset.x), bool) if dataset.test is None else ~dataset.test
    counts = np.bincount(dataset.observed[ours], minlength=len(dataset.classes))
    true = np.bincount(dataset.truth[ours], minlength=len(dataset.classes))
    for kind, found in (("observed", counts), ("true", true)):
        if found.min() < FEWEST:
            raise UserError(
                f"class {dataset.classes[found.argmin()]!r}: has {found.min()} examples by {kind} "
                f"label; {FEWEST} are needed: collect more, merge it, or leave it out"
            )
    return Survey(
        data=data,
        dataset=dataset,
        counts=counts.tolist(),
        sizes=sizes,
        left_out=left_out,
        **_duplicates(dataset),
        relabelled=float((dataset.observed != dataset.truth)[ours].mean()),
    )


def _look_at_images(root: Path) -> tuple[Counter[tuple[int, int]], int]:
    """Sizes of the images that the source reads, and how many other files lie among them."""
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
    return sizes, len(files) - len(images)


def _side(sizes: Counter[tuple[int, int]]) -> int | None:
    """Side to resize images to: none if all are alike and not large."""
    if len(sizes) == 1 and max(next(iter(sizes))) <= SIDES[-1]:
        return None
    short = np.median([min(size) for size in sizes.elements()]) if sizes else SIDES[0]
    return max([side for side in SIDES if side <= short], default=SIDES[0])


def _duplicates(dataset: Dataset) -> dict[str, int]:
    """Examples with exactly the values of an earlier one."""
    test = np.zeros(len(dataset.x), bool) if dataset.test is None else dataset.test
    first: dict[bytes, int] = {}
    found = {"duplicates": 0, "across": 0, "contradicting": 0}
    for row in range(len(dataset.x)):
        content = hashlib.sha256(np.ascontiguousarray(dataset.x[row]).data).digest()
        twin = first.setdefault(content, row)
        if twin != row:
            found["duplicates"] += 1
            found["across"] += bool(test[twin] != test[row])
            found["contradicting"] += bool(dataset.observed[twin] != dataset.observed[row])
    return found


def summary(found: Survey) -> list[tuple[str, str]]:
    """What was seen, a line each."""
    dataset, counts = found.dataset, found.counts
    test = 0 if dataset.test is None else int(dataset.test.sum())
    by_size = np.argsort(counts, kind="stable")
    smallest, largest = (f"{dataset.classes[i]} ({counts[i]:,})" for i in (by_size[0], by_size[-1]))
    lines = [
        ("examples", f"{sum(counts):,}" + (f", and {test:,} to test" if test else "")),
        ("classes", f"{len(counts)}: {preview(dataset.classes)}"),
        ("smallest, largest", f"{smallest}, {largest}: {found.imbalance:.1f} to 1"),
        ("input", _input(found)),
        ("duplicates", _twins(found)),
    ]
    if found.left_out:
        lines.append(("left out", f"{found.left_out:,} files that are no images, or hidden"))
    if found.data.labels:
        lines.append(("labels file", f"changes {found.relabelled:.1%} of the labels"))
    return lines


def _input(found: Survey) -> str:
    shape = found.dataset.x.shape[1:]
    if len(shape) == 1:
        return f"{shape[0]} numbers"
    colours = {1: "grey", 3: "colour"}.get(shape[0], f"{shape[0]} channels")
    text = f"{colours} images, {shape[2]} x {shape[1]}"
    if not found.data.size:
        return text
    (common, n), several = found.sizes.most_common(1)[0], len(found.sizes)
    return f"{text}, resized from {several} sizes, {common[0]} x {common[1]} most often ({n:,})"


def _twins(found: Survey) -> str:
    if not found.duplicates:
        return "none"
    text = f"{found.duplicates:,} examples equal an earlier one"
    text += f", {found.contradicting:,} of them under another label"
    return text + f", {found.across:,} across training and test set" * bool(found.across)

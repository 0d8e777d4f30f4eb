"""What converters write, and what they need of other packages."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipelines.errors import UserError

Array = NDArray[Any]
#: Texts to unit vectors [n, D].
Embed = Callable[[Sequence[str]], Array]


def needed(source: Path, *names: str) -> list[Path]:
    """The files of a source.

    Raises:
        UserError: one is not there.
    """
    for name in names:
        if not (source / name).is_file():
            raise UserError(f"{str(source)!r}: there is no {name!r}; needed: {', '.join(names)}")
    return [source / name for name in names]


def write_arrays(
    target: Path, x: Array, y: ArrayLike, name: str | None = None, **others: ArrayLike
) -> None:
    """target/NAME.npz, with NAME that of the folder by default; others: x_test, y_test, classes."""
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"{name or target.name}.npz"
    np.savez_compressed(path, allow_pickle=False, x=x, y=np.asarray(y, np.int64), **others)


def write_labels(target: Path, columns: Mapping[str, Sequence[str]]) -> None:
    """target/labels.csv: a row for each training example, named by its number."""
    target.mkdir(parents=True, exist_ok=True)
    with (target / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", *columns])
        writer.writerows([i, *row] for i, row in enumerate(zip(*columns.values(), strict=True)))


def numbered(labels: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Classes as numbers.

    Raises:
        UserError: a label is none of the classes.
    """
    place = {name: i for i, name in enumerate(classes)}
    if strangers := sorted(set(labels) - set(place)):
        raise UserError(f"label {strangers[0]!r}: there are {', '.join(classes)}")
    return [place[label] for label in labels]


def sentence_vectors(texts: Sequence[str]) -> Array:
    """all-MiniLM-L6-v2's sentence embeddings, of unit length.

    Raises:
        UserError: the package for it is not installed.
    """
    try:
        from sentence_transformers import (  # pyright: ignore[reportMissingImports]
            SentenceTransformer,
        )
    except ImportError:
        raise UserError(
            "texts are embedded by the package sentence-transformers, which is not installed: "
            "pip install sentence-transformers (it downloads the model, 90 MB)"
        ) from None
    model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2")
    return model.encode(list(texts), normalize_embeddings=True)

"""What a source of data is; `pipelines/data/sources/` has one file for each kind.

To add a source, put a file there with `SOURCES`, a tuple of `Source`, or a row into a tuple that is
there already. What loads, caches, surveys and checks data reads these entries and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.data.dataset import Dataset
from pipelines.study.protocol import Data

#: Keys of `data` that every source has; each other key is an option of the sources that name it.
COMMON = ("source", "path", "labels", "trusted", "corrections", "encoder", "normalise")
#: Options that were part of every cache key before sources named theirs.
ALWAYS_IN_KEY = ("target", "size")


@dataclass(frozen=True)
class FirstLook:
    """What is seen of data before it is decoded, for `new`.

    options: of `data`, as they suit it. image_sizes: how many images have which (width, height).
    notes: what else a person should know, as name and text. reasons: why columns are used as the
    options say, by name. source: the one that reads it, where it is another than was thought.
    identifiers: columns that may name the examples, with their cells.
    """

    options: dict[str, Any] = field(default_factory=dict)
    image_sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    notes: list[tuple[str, str]] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    source: str | None = None
    identifiers: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """One value of `data.source`: what it needs, and who reads it.

    name: as in a study. read: makes the data set; it is also given an empty folder, and what it
    writes there as x.npy is kept in place of the x it returns. path: what `data.path` must name, or
    "download" where it may name a folder that downloads go to; None if it must not be given.
    options: keys of `data` that it looks at beside those of every source. suffixes: of the files
    that `new` takes for this source; a folder is for the source whose path is one. files: all that
    it reads at a path; what is in the cache is decoded again when one of them changes. look: what
    `new` asks it for first. example: lines of Python that give a few of the study's inputs the name
    `inputs`, as a model takes them. cached: its content depends on nothing but path and options, so
    that it is decoded once. decoding: raised where the same is decoded to more than before.
    known_by: of a folder, whether it has the layout that this source alone reads.
    """

    name: str
    read: Callable[[Data, Path], Dataset]
    path: Literal["file", "folder", "download"] | None = None
    options: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    files: Callable[[Path], list[Path]] = lambda path: [path]
    look: Callable[[Data], FirstLook] = lambda _: FirstLook()
    example: Callable[[Data], list[str]] = lambda _: []
    cached: bool = True
    decoding: int = 1
    known_by: Callable[[Path], bool] | None = None

    def takes(self, path: Path) -> bool:
        """Whether `new` reads what is at a path by this source."""
        if path.is_dir():
            return self.path == "folder" and (self.known_by is None or self.known_by(path))
        return path.name.lower().endswith(self.suffixes)


def listing(source: Source, path: Path) -> list[list[Any]]:
    """Names, sizes and times of the files that a source reads: they change with the content."""
    return [[file.relative_to(path).as_posix(), *_state(file)] for file in source.files(path)]


def _state(file: Path) -> list[int]:
    try:
        status = file.stat()
    except OSError:  # a link that leads nowhere
        return []
    return [status.st_size, status.st_mtime_ns]


def cache_key(source: Source, data: Data) -> list[Any]:
    """What the decoded content depends on, as plain values."""
    if source.path is None:
        return [source.name]
    if source.path == "download":
        return [source.name, str(data.path) if data.path else None]
    assert data.path
    defaults = Data()
    others = {
        name: value
        for name in source.options
        if name not in ALWAYS_IN_KEY and (value := getattr(data, name)) != getattr(defaults, name)
    }
    return [
        source.name,
        str(data.path.resolve()),
        *(getattr(data, name) for name in ALWAYS_IN_KEY),
        listing(source, data.path),
        *([others] if others else []),
        *(_encoder_versions(data) if data.columns else []),
        *([f"decoding {source.decoding}"] if source.decoding > 1 else []),
    ]


def _encoder_versions(data: Data) -> list[Any]:
    """Of encoders whose features are part of the decoded content."""
    from pipelines.data.encoders import version_of  # imports torch

    return [version_of(encoder) for encoder in data.encoders]

"""The converters by the folder that they write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.evidence.convert import images, tables, texts
from pipelines.errors import UserError

CONVERTERS: dict[str, Callable[[Path, Path], None]] = {
    "banking77": texts.banking77,
    "cifar10n-features": images.cifar10n,
    "fashion-mnist": images.fashion,
    "ferplus": images.ferplus,
    "hausa-news": texts.news,
    "letter": tables.letter,
    "music": tables.music,
    "satellite": tables.satellite,
    "shuttle": tables.shuttle,
    "spam": tables.spam,
    "tiny-imagenet-100": images.tiny_imagenet,
    "trec": texts.trec,
    "yoruba-news": texts.news,
}


def convert(name: str, source: Path, root: Path) -> Path:
    """Write the folder `name` below root from a source's folder; where it is.

    Raises:
        UserError: there is no such converter, or a file of the source is not there.
    """
    if name not in CONVERTERS:
        raise UserError(f"data {name!r}: there are {', '.join(CONVERTERS)}")
    if not source.is_dir():
        raise UserError(f"{str(source)!r}: is no folder")
    CONVERTERS[name](source, root / name)
    return root / name

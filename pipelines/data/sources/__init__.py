"""The sources of data by name: one file for each kind, every one of them found here."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

from pipelines.data.paths import is_there
from pipelines.data.source import Source
from pipelines.data.sources.own_function import own_function
from pipelines.errors import UserError

KINDS = [import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
SOURCES: dict[str, Source] = {
    source.name: source for kind in KINDS for source in getattr(kind, "SOURCES", ())
}


def source_named(name: str) -> Source:
    """The source of that name; MODULE:FUNCTION is a user's own.

    Raises:
        UserError: there is none.
    """
    if ":" in name:
        return own_function(name)
    if name not in SOURCES:
        raise UserError(
            f"data.source = {name!r}: allowed are {', '.join(SOURCES)}, or package.module:function"
        )
    return SOURCES[name]


def source_for(path: Path) -> Source:
    """The source that reads what is at a path.

    Raises:
        UserError: there is nothing, or no source takes it.
    """
    if not (is_there(path, "file") or is_there(path, "folder")):
        raise UserError(f"{path}: there is no such file or folder")
    for source in sorted(SOURCES.values(), key=lambda source: source.known_by is None):
        if source.takes(path):
            return source
    suffixes = [suffix for source in SOURCES.values() for suffix in source.suffixes]
    raise UserError(f"{path}: must be a folder of images, or end in {', '.join(suffixes)}")

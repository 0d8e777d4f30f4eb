"""Folders that a study names: beside its file, in somebody's home, or where a variable says.

A trained network may lie in one, where otherwise its library knows it by a name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import own_modules
from pipelines.errors import UserError
from pipelines.study.pretrained import PRETRAINED, pretrained_options
from pipelines.study.validation import preview

if TYPE_CHECKING:
    from pipelines.study.protocol import Protocol

LOCAL = "local-dir:"  # what timm's names of folders begin with
BY_NAME_OR_FOLDER = ("sentence_transformers", "transformers")


def without_variable(path: Path) -> Path:
    """A path that may begin with an environment variable: $UNTUNED_DATA/letter.parquet.

    So a study can be handed on, and run wherever its data are.

    Raises:
        UserError: it is not set.
    """
    first, *rest = path.parts or ("",)
    if not re.fullmatch(r"\$\w+", first):
        return path
    if not (value := os.environ.get(first[1:])):
        raise UserError(
            f"path {preview(str(path))}: the environment variable {first[1:]} is not set; it must "
            "name the folder where the data are"
        )
    return Path(value, *rest)


def as_loaded(library: str, name: str) -> str:
    """A network's name as its library takes it: of a folder the whole path.

    A folder is relative to the study file. The study keeps the name as it is written, so that it is
    the same study wherever it lies.

    Raises:
        UserError: a name that can only be that of a folder is none.
    """
    found = _found(library, name)
    if found is not None:
        return f"{LOCAL if library == 'timm' else ''}{found[1]}"
    if _is_local(library, name) or (library in BY_NAME_OR_FOLDER and name[:1] in (*"./~$",)):
        beside = f" beside the study file, in {own_modules.told()[0]}" if own_modules.told() else ""
        raise UserError(f"{library}: {name!r}: there is no such folder{beside}")
    return name


def beside_study(protocols: Iterable[Protocol]) -> dict[str, str]:
    """The study's folder, by the folders of networks that it has; as of `own_modules.own_folders`.

    Raises:
        UserError: as of `as_loaded`.
    """
    named = {pair for protocol in protocols for pair in _networks(protocol)}
    return {name: found[0] for library, name in named if (found := _found(library, name))}


def _found(library: str, name: str) -> tuple[str, Path] | None:
    """A study's folder, and the folder of that name in it; None: it is no folder's name."""
    if library not in BY_NAME_OR_FOLDER and not _is_local(library, name):
        return None
    try:
        path = without_variable(Path(name.removeprefix(LOCAL))).expanduser()
    except RuntimeError:  # the home of nobody
        return None
    # A whole path stays what it is.
    places = ((home, Path(home, path)) for home in own_modules.told() or ["/"])
    return next(((home, place) for home, place in places if place.is_dir()), None)


def _is_local(library: str, name: str) -> bool:
    return library == "timm" and name.startswith(LOCAL)


def _networks(protocol: Protocol) -> list[tuple[str, str]]:
    """Library and name of each network that somebody has trained."""
    named = [pair for e in protocol.data.encoders if isinstance(e, dict) for pair in e.items()]
    if protocol.model.name == PRETRAINED:
        options = pretrained_options(protocol.model.options)
        named.append((options.library, getattr(options, options.library)))
    return named

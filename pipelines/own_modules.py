"""Modules of a person's own: methods, models, sources and augmentations of a study.

A study names them as `module:name`. They lie beside the study file, as folders of trained networks
do (`study.own_folders`), and are searched there last, so that no file of that folder can hide a
package that is installed. A study's directory remembers the folder; to the nodes of a cluster, the
launch sends a copy of modules.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from pipelines.errors import UserError, one_line
from pipelines.provenance import ROOT, SENT, folder_of, forget_modules, module_files

_told: list[str] = []  # folders that this process was told of, the newest first
_searched: list[str] = []  # those of them that Python did not search by itself


def search(folders: Iterable[str | Path]) -> None:
    """Find modules in these folders too, before those of other studies.

    folders: absolute, or relative to this program.
    """
    for folder in map(str, [*(ROOT / folder for folder in folders), *_sent()]):
        _told[:] = [folder, *(other for other in _told if other != folder)]
        if folder in sys.path and folder not in _searched:
            continue  # it is Python's own business
        if _searched[:1] == [folder]:
            continue
        _drop_namesakes(Path(folder))
        kept = [entry for entry in sys.path if entry not in _searched]
        _searched[:] = [folder, *(other for other in _searched if other != folder)]
        sys.path[:] = [*kept, *_searched]
        importlib.invalidate_caches()
        forget_modules()


def told() -> list[str]:
    """The folders of studies that this process was told of, the newest first."""
    return list(_told)


def load(path: str, what: str) -> Any:
    """What `module:name` names.

    what: it is for, such as "method"; for messages.

    Raises:
        UserError: the module is not found, fails as it is imported, or has no such name.
    """
    module, _, name = path.partition(":")
    if not (module and name):
        raise UserError(f"{what} {path!r}: expected module:name")
    try:
        loaded = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(f"{what} {path!r}: {_reason(module, error)}") from None
    try:
        return reduce(getattr, name.split("."), loaded)
    except AttributeError:
        place = getattr(loaded, "__file__", None) or "built in"
        raise UserError(f"{what} {path!r}: module {module!r} ({place}) has no {name!r}") from None


def own_folders(modules: Iterable[str]) -> dict[str, str]:
    """The folders of those modules that are neither installed nor part of this program.

    Those within the program's own folder are given relative to it, as `search` takes them: they lie
    there on every node that has a copy of it.
    """
    folders = {module: folder_of(module.partition(".")[0]) for module in modules}
    return {
        module: str(folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder)
        for module, folder in folders.items()
        if folder is not None and not _is_ours(module)
    }


def send(folders: Mapping[str, str], copy: Path) -> None:
    """Copy modules, and what they import from beside themselves, into a copy of this program.

    folders: as of `own_folders`. There `search` finds them, and their digests are the same.
    """
    for module, folder in folders.items():
        for file in module_files(module):
            if file.is_relative_to(ROOT):
                target = copy / file.relative_to(ROOT)
            else:
                target = copy / SENT.name / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def _sent() -> list[Path]:
    return [SENT] if SENT.is_dir() else []


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("methods", "pipelines", "search_spaces", "untuned")


def _drop_namesakes(folder: Path) -> None:
    """Forget loaded modules of other studies that are called as others in this folder."""
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "/")
        top = name.partition(".")[0]
        theirs = any(file.is_relative_to(other) for other in _searched if other != str(folder))
        has_namesake = (folder / f"{top}.py").exists() or (folder / top).is_dir()
        if theirs and has_namesake and not _is_ours(name) and not file.is_relative_to(folder):
            del sys.modules[name]


def _reason(module: str, error: BaseException) -> str:
    """Why a module could not be imported, in one line."""
    said = one_line(error)
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is None:
        return f"module {module!r} cannot be imported ({type(error).__name__}: {said})"
    if not f"{module}.".startswith(f"{missing}."):
        return f"module {module!r} imports {missing!r}, which is not installed"
    if _is_ours(module):
        return f"there is no module {module!r}"
    beside = f"nor in {_searched[0]!r}" if _searched else "nor beside the study file"
    return (
        f"module {missing!r} is neither installed {beside}; PYTHONPATH may name the folder that "
        "it lies in"
    )

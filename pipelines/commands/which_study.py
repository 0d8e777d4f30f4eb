"""Which study a person means, who gives its name, its file, or the directory that it runs in.

A launch keeps a study in runs/NAME unless it is told otherwise, so that each leads to the others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.data.paths import is_there
from pipelines.data.sources import source_named
from pipelines.errors import UserError
from pipelines.ledger.storage import is_url
from pipelines.report.study_state import open_study
from pipelines.study.study_file import Study, load_study, read_study_file, studies
from pipelines.study.validation import did_you_mean, preview

RUNS = "runs"


def default_storage(name: str) -> str:
    """Where a launch keeps the study of that name."""
    return f"{RUNS}/{name}"


def storage_named(name: str, *, new: bool = False) -> str:
    """The storage of the study that a person means.

    name: a directory or URI; or a study's name or file, for the directory that it runs in by
    default. new: nothing need be there yet, and what is not known is a place.

    Raises:
        UserError: there is no such study.
    """
    if is_url(name) or _holds_study(name):
        return name
    if (file := _study_file(name)) is not None:
        _, raw = read_study_file(file)
        storage = default_storage(raw["name"])
        if not (new or is_there(Path(storage), "folder")):
            raise UserError(
                f"study {preview(name)}: there is no {storage!r}: launch it first, or give the "
                "directory that --storage named"
            )
        return storage
    if _holds_study(default_storage(name)):
        return default_storage(name)
    if name and (new or is_there(Path(name), "folder")):
        return name
    raise _unknown(name)


def study_named(name: str, request: dict[str, Any] | None = None) -> tuple[Study, str | None]:
    """The study that a person means, and the storage it is in, if that is what was named.

    name: as of `storage_named`; a name is that of a ready study or a file first, a study in runs/
    else. request: overrides entries of the study's own.

    Raises:
        UserError: there is no such study, or something in it is not allowed.
    """
    if (file := _study_file(name)) is not None:
        return load_study(file, request), None
    for storage in (name, default_storage(name)):
        if is_url(storage) or _holds_study(storage):
            return open_study(storage, request)[2], storage
    raise _unknown(name)


def check_data_is_there(study: Study, storage: str) -> None:
    """The files that a study's directory names may have moved since they were launched upon.

    Raises:
        UserError: one is not there.
    """
    data = study.protocol.data
    files = {"labels": data.labels, "trusted": data.trusted, "corrections": data.corrections}
    places = {f"data.{name}.file": labels.file for name, labels in files.items() if labels}
    if data.path is not None and source_named(data.source).path != "download":
        places["data.path"] = data.path
    for name, path in places.items():
        if not (is_there(path, "file") or is_there(path, "folder")):
            raise UserError(
                f"{name} = {str(path)!r}, says {storage}/study.json: it is not there. If it has "
                f"moved, launch the study with its new path (--storage {storage}): finished trials "
                "stay, and the new path is written down"
            )


def _holds_study(name: str) -> bool:
    return bool(name) and is_there(Path(name) / "study.json", "file")


def _study_file(name: str) -> str | None:
    """What `load_study` reads by that name: a ready study or a file, maybe without its ending."""
    candidates = (name, f"{name}.yaml", f"{name}.yml")
    return next((n for n in candidates if n in studies() or is_there(Path(n), "file")), None)


def _unknown(name: str) -> UserError:
    runs, here = Path(RUNS), Path()
    directories = [path for path in runs.glob("*") if _holds_study(str(path))]
    files = [path for pattern in ("*.yaml", "*.yml") for path in here.glob(pattern)]
    near = [path.name for path in directories] + list(map(str, [*directories, *files]))
    return UserError(
        f"study {preview(name)}: neither a directory with a study, a study file, nor a ready study "
        f"({', '.join(studies())}){did_you_mean(name, [*studies(), *near])}"
    )

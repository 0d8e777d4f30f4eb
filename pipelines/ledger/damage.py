"""Which files of a ledger are not as they were written, or are gone; and what becomes of it.

Documents have a digest of their content and place, a result and an error those of the files beside
them, a checkpoint has its own in its name. A file that is gone shows by what was written after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pipelines.documents import Json, decode, sha256
from pipelines.ledger.index import Row
from pipelines.ledger.layout import (
    ATTEMPT,
    CHECKPOINT,
    CONFLICT,
    ERROR,
    HISTORY,
    MODEL_FILES,
    OUTCOMES,
    PRUNED,
    RESULT,
    SET_ASIDE,
    SPEC,
    TRACEBACK,
    Files,
    files_of_result,
    trial_folder,
)
from pipelines.ledger.record import TrialRecord
from pipelines.ledger.storage import Storage

Check = Literal["nothing", "changed", "all"]
#: By key, the damaged files of a trial, and what becomes of each; under STUDY, those of the study.
Damaged = dict[str, dict[str, str]]

STUDY = "study"  # no trial is called so: keys end in a digest
ANEW = "the next launch writes it anew"
AGAIN = "the next launch runs the trial again"
RETRY = "`launch --retry damaged` runs the trial again"
EARLIER = "the trial goes on from the checkpoint before"
LOST = "it cannot be restored, and no number depends on it"


def damage_lines(damaged: Mapping[str, Mapping[str, str]]) -> list[str]:
    """For people: which files are damaged, and what becomes of it."""
    return [
        f"{'' if key == STUDY else f'{key}: '}{name} is damaged or gone: {remedy}"
        for key, names in damaged.items()
        for name, remedy in names.items()
    ]


def gone(files: Files, row: Row | None) -> Iterator[tuple[str, str]]:
    """Documents that a trial must have had, with what becomes of it.

    A spec comes before all else, a result right after its history; a trial in the index (`row`) had
    both. An attempt without a result has said why, in a document that comes before its traceback.
    """
    if SPEC not in files:
        yield SPEC, ANEW
    attempts = {match[0] for match in map(ATTEMPT.match, files) if match}
    unexplained = [a for a in attempts if not any(f"{a}{name}" in files for name in OUTCOMES)]
    had_result = any(f"{attempt}{HISTORY}" in files for attempt in unexplained) or (
        row is not None and f"attempts/{row.result['attempt']}/{SET_ASIDE}" not in files
    )
    if RESULT not in files and had_result:
        yield RESULT, AGAIN
    for attempt in attempts:
        if f"{attempt}{TRACEBACK}" in files and not (
            f"{attempt}{ERROR}" in files or f"{attempt}{CONFLICT}" in files
        ):
            yield f"{attempt}{ERROR} or {attempt}{CONFLICT}", LOST


def damaged_files(
    storage: Storage,
    files_by_key: Mapping[str, Files],
    rows: Mapping[str, Row],
    trials: Mapping[str, TrialRecord],
    check: Check,
) -> Iterator[tuple[str, str]]:
    """Key and name of files that belong to a result, and are gone or not as they were written."""
    doubtful: list[tuple[str, str, str]] = []
    for key, trial in trials.items():
        if trial.result is None:
            continue
        files, indexed = files_by_key[key], rows[key].versions if key in rows else {}
        for name, digest in files_of_result(trial.result).items():
            if name not in files:
                if not _pruned(name, files):
                    yield key, name
            elif digest is None:  # of version 0.1: a history is its own witness
                continue
            elif check == "all" or _changed(name, files, indexed):
                doubtful.append((key, name, digest))
    contents = storage.read_many(f"{trial_folder(key)}/{name}" for key, name, _ in doubtful)
    for (key, name, digest), data in zip(doubtful, contents, strict=True):
        if data is None or sha256(data) != digest:
            yield key, name


def damaged_records(
    storage: Storage, files_by_key: Mapping[str, Files]
) -> Iterator[tuple[str, str, str]]:
    """Key and name of checkpoints, and of what attempts tell of themselves; what becomes of it."""
    paths = [
        (key, name, f"{trial_folder(key)}/{name}")
        for key, files in files_by_key.items()
        for name in files
        if ATTEMPT.match(name) and name.endswith((".json", ".pt"))
    ]
    for (key, name, path), data in zip(
        paths, storage.read_many(path for *_, path in paths), strict=True
    ):
        if checkpoint := CHECKPOINT.search(f"/{name}"):
            if not sha256(data or b"").startswith(checkpoint["digest"]):
                yield key, name, EARLIER
        elif name.endswith(".json"):
            document = decode(data, path)
            if document is None:
                yield key, name, LOST
            elif name.endswith(OUTCOMES):
                for beside in _damaged_beside(storage, f"{trial_folder(key)}/{name}", document):
                    yield key, f"{name.rpartition('/')[0]}/{beside}", LOST


def _damaged_beside(storage: Storage, path: str, outcome: Json) -> Iterator[str]:
    """Names of files that belong to an attempt's outcome, which is not the trial's result.

    Those of a result that was set aside may be gone, and its attempt's traceback not.
    """
    folder = path.rpartition("/")[0]
    for name, digest in outcome.get("files", {}).items():
        data = storage.read(f"{folder}/{name}")
        gone = data is None and name != TRACEBACK
        if not gone and sha256(data or b"") != digest:
            yield name


def _pruned(name: str, files: Files) -> bool:
    """Whether a model is gone since somebody asked for it (`prune --models`)."""
    folder, _, file = name.rpartition("/")
    return file in MODEL_FILES and f"{folder}/{PRUNED}" in files


def _changed(name: str, files: Files, indexed: Mapping[str, str]) -> bool:
    if name in indexed:
        return indexed[name] != files[name].version
    return name.endswith(HISTORY)  # small; models that are not yet indexed are left to `doctor`

"""All trials of a ledger in one pass over its files, and which of these are damaged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, cast

from pipelines.documents import Json, decode, sha256
from pipelines.ledger.index import Row
from pipelines.ledger.layout import (
    HISTORY,
    KEY,
    MODEL_FILES,
    PRUNED,
    RESULT,
    SPEC,
    Files,
    error_name,
    files_of_result,
    history_path,
    newest_attempt,
    steps_done,
    trial_folder,
    versions_of,
)
from pipelines.ledger.migration import current_spec
from pipelines.ledger.record import TrialRecord
from pipelines.ledger.storage import Storage
from pipelines.trial_documents import TrialResult

Check = Literal["nothing", "changed", "all"]


class Contents(NamedTuple):
    """What a ledger holds.

    damaged: by key, the files of its folder that are not as they were written, or that are gone. A
    damaged spec or result counts as not written.
    """

    trials: dict[str, TrialRecord]
    damaged: dict[str, list[str]]


def damage_lines(damaged: Mapping[str, list[str]]) -> list[str]:
    """For people: which files are damaged, and what becomes of it."""
    rerun = "the next launch runs the trial again"
    remedies = {SPEC: "the next launch writes it anew", RESULT: rerun}
    lost = "`launch --retry damaged` runs the trial again"
    return [
        f"{key}: {name} is damaged or gone: {remedies.get(name, lost)}"
        for key, names in damaged.items()
        for name in names
    ]


def listings(storage: Storage, folder: str = "trials") -> dict[str, Files]:
    """The files of each trial, by key; what has no trial's name is nobody's concern."""
    by_key: dict[str, Files] = defaultdict(dict)
    for file in storage.files(folder):
        key, _, name = file.path.removeprefix("trials/").partition("/")
        if KEY.fullmatch(key):
            by_key[key][name] = file
    return by_key


def read_contents(
    storage: Storage, files_by_key: Mapping[str, Files], rows: Mapping[str, Row], check: Check
) -> Contents:
    """The trials with these files.

    rows: of the index; one counts while spec and result are the very files that it was made from.
    check: which files beside the results are read to see whether they are damaged: those that have
    changed since they were indexed, and histories that never were; all, and then the index does not
    count; or nothing, not even whether they are there.
    """
    known = {} if check == "all" else {k: r for k, r in rows.items() if _counts(r, files_by_key)}
    documents = _read(storage, files_by_key, known)
    trials: dict[str, TrialRecord] = {}
    damaged: dict[str, list[str]] = defaultdict(list)
    for key, files in sorted(files_by_key.items()):
        row, newest = known.get(key), newest_attempt(files)
        folder = trial_folder(key)
        spec: Mapping[str, Any] | None = row.spec if row else documents.get(f"{folder}/{SPEC}")
        result = row.result if row else documents.get(f"{folder}/{RESULT}")
        for name, document in ((SPEC, spec), (RESULT, result)):
            if name in files and document is None:
                damaged[key].append(name)
        if spec is not None:
            trials[key] = TrialRecord(
                key=key,
                spec=current_spec(spec),
                result=cast(TrialResult | None, result),
                error=documents.get(f"{folder}/{error_name(newest)}"),
                attempts=newest,
                history_path=history_path(key, files, newest),
                conflicts=sum(name.endswith("/conflict.json") for name in files),
                steps=steps_done(files),
                versions=versions_of(files, result),
            )
    if check != "nothing":
        for key, name in _damaged_files(storage, files_by_key, rows, trials, check):
            damaged[key].append(name)
    return Contents(trials, dict(damaged))


def _counts(row: Row, files_by_key: Mapping[str, Files]) -> bool:
    files = files_by_key.get(row.key, {})
    return all(
        name in files and row.versions.get(name) == files[name].version for name in (SPEC, RESULT)
    )


def _read(
    storage: Storage, files_by_key: Mapping[str, Files], known: Mapping[str, Row]
) -> dict[str, Json | None]:
    """Specs, results and newest errors of the trials that the index does not know."""
    paths = [
        f"{trial_folder(key)}/{name}"
        for key, files in files_by_key.items()
        for name in (SPEC, RESULT, error_name(newest_attempt(files)))
        if key not in known and name in files
    ]
    return dict(zip(paths, map(decode, storage.read_many(paths)), strict=True))


def _damaged_files(
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


def _pruned(name: str, files: Files) -> bool:
    """Whether a model is gone since somebody asked for it (`prune --models`)."""
    folder, _, file = name.rpartition("/")
    return file in MODEL_FILES and f"{folder}/{PRUNED}" in files


def _changed(name: str, files: Files, indexed: Mapping[str, str]) -> bool:
    if name in indexed:
        return indexed[name] != files[name].version
    return name.endswith(HISTORY)  # small; models that are not yet indexed are left to `doctor`

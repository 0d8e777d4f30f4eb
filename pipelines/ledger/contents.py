"""All trials of a ledger in one pass over its files, and which of these are damaged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from pipelines.documents import Json, decode
from pipelines.ledger.damage import (
    AGAIN,
    ANEW,
    LOST,
    RETRY,
    Check,
    Damaged,
    damaged_files,
    damaged_records,
    gone,
)
from pipelines.ledger.index import Row
from pipelines.ledger.layout import (
    CONFLICT,
    KEY,
    RESULT,
    SPEC,
    Files,
    error_name,
    history_path,
    newest_attempt,
    steps_done,
    stopped_name,
    trial_folder,
    versions_of,
)
from pipelines.ledger.migration import current_spec
from pipelines.ledger.record import TrialRecord
from pipelines.ledger.storage import Storage
from pipelines.trial_documents import TrialResult


class Contents(NamedTuple):
    """What a ledger holds.

    damaged: files that are not as they were written, or that are gone, and what becomes of it. A
    damaged document counts as not written.
    """

    trials: dict[str, TrialRecord]
    damaged: Damaged


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
    check: which files beside specs, results and newest errors are read to see whether they are
    damaged: those of results that have changed since they were indexed, and histories that never
    were; all, and then the index does not count; or nothing, not even whether they are there.
    """
    known = {} if check == "all" else {k: r for k, r in rows.items() if _counts(r, files_by_key)}
    documents = _read(storage, files_by_key, known)
    trials: dict[str, TrialRecord] = {}
    damaged: Damaged = defaultdict(dict)
    for key, files in sorted(files_by_key.items()):
        row, newest = known.get(key), newest_attempt(files)
        folder, error, stopped = trial_folder(key), error_name(newest), stopped_name(newest)
        spec: Mapping[str, Any] | None = row.spec if row else documents.get(f"{folder}/{SPEC}")
        result = row.result if row else documents.get(f"{folder}/{RESULT}")
        if row is None:
            remedies = {SPEC: ANEW, RESULT: AGAIN, error: AGAIN, stopped: AGAIN}
            for name, remedy in remedies.items():
                if name in files and documents[f"{folder}/{name}"] is None:
                    damaged[key][name] = (
                        remedy if name in (SPEC, RESULT) or result is None else LOST
                    )
        if spec is not None:
            trials[key] = TrialRecord(
                key=key,
                spec=current_spec(spec),
                result=cast(TrialResult | None, result),
                error=documents.get(f"{folder}/{error}"),
                attempts=newest,
                history_path=history_path(key, files, newest, result),
                conflicts=sum(name.endswith(f"/{CONFLICT}") for name in files),
                steps=steps_done(files),
                versions=versions_of(files, result),
                stopped=documents.get(f"{folder}/{stopped}"),
            )
    if check != "nothing":
        for key in sorted({*files_by_key, *rows}):
            for name, remedy in gone(files_by_key.get(key, {}), rows.get(key)):
                damaged[key].setdefault(name, remedy)
        for key, name in damaged_files(storage, files_by_key, rows, trials, check):
            damaged[key].setdefault(name, RETRY)
    if check == "all":
        for key, name, remedy in damaged_records(storage, files_by_key):
            damaged[key].setdefault(name, remedy)
    return Contents(trials, {key: names for key, names in damaged.items() if names})


def _counts(row: Row, files_by_key: Mapping[str, Files]) -> bool:
    files = files_by_key.get(row.key, {})
    return all(
        name in files and row.versions.get(name) == files[name].version for name in (SPEC, RESULT)
    )


def _read(
    storage: Storage, files_by_key: Mapping[str, Files], known: Mapping[str, Row]
) -> dict[str, Json | None]:
    """Specs, results and newest outcomes of the trials that the index does not know."""
    paths = [
        f"{trial_folder(key)}/{name}"
        for key, files in files_by_key.items()
        for newest in [newest_attempt(files)]
        for name in (SPEC, RESULT, error_name(newest), stopped_name(newest))
        if key not in known and name in files
    ]
    contents = storage.read_many(paths)
    return {path: decode(data, path) for path, data in zip(paths, contents, strict=True)}

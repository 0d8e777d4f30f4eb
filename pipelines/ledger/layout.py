"""Names of the ledger's files; the head of `ledger.py` says what each is for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipelines.ledger.files import File
from pipelines.trial_documents import EXAMPLES, MODEL

Files = dict[str, File]  # of one trial, by their path in its folder
Versions = dict[str, str]  # of files, by the same path: change whenever a file is written again

KEY = re.compile(r"[a-z0-9_]+(-[a-z0-9]+)*")
ATTEMPT = re.compile(r"attempts/([0-9]+)/")
CHECKPOINT = re.compile(
    r"/attempts/(?P<attempt>\d+)/checkpoint-(?P<step>\d+)-(?P<digest>[0-9a-f]+)\.pt$"
)
DIGEST_LENGTH = 16  # hexadecimal digits
SPEC, RESULT, HISTORY, PRUNED = "spec.json", "result.json", "history.json", "pruned.json"
STARTED, PROGRESS = "started.json", "progress.json"
ERROR, CONFLICT, TRACEBACK = "error.json", "conflict.json", "traceback.txt"
SET_ASIDE, STOPPED = "set-aside.json", "stopped.json"
OUTCOMES = (ERROR, CONFLICT, SET_ASIDE, STOPPED)  # of attempts that the trial's result is not of
MODEL_FILES = (MODEL, EXAMPLES)


def trial_folder(key: str) -> str:
    """Where all files of a trial lie.

    Raises:
        ValueError: the key is malformed; it might lead out of the study.
    """
    if not KEY.fullmatch(key):
        raise ValueError(f"trial key {key!r}: must match {KEY.pattern}")
    return f"trials/{key}"


def attempt_folder(key: str, number: int) -> str:
    """Where all that an attempt writes lies."""
    return f"{trial_folder(key)}/attempts/{number}"


def newest_attempt(files: Files) -> int:
    """Number of a trial's newest attempt; 0 if there is none."""
    return max((int(match[1]) for match in map(ATTEMPT.match, files) if match), default=0)


def error_name(attempt: int) -> str:
    """Why that attempt failed."""
    return f"attempts/{attempt}/{ERROR}"


def stopped_name(attempt: int) -> str:
    """At which epoch that attempt was stopped early, and why."""
    return f"attempts/{attempt}/{STOPPED}"


def steps_done(files: Files) -> int:
    """Steps at the furthest checkpoint."""
    checkpoints = (CHECKPOINT.search(f"/{name}") for name in files)
    return max((int(match["step"]) for match in checkpoints if match), default=0)


def history_path(
    key: str, files: Files, newest: int, result: Mapping[str, Any] | None
) -> str | None:
    """The history of the attempt that came to the result; without one, the newest there is.

    That may be of an attempt that was stopped early, which tells its rows with the reason.
    """
    if result and "attempt" in result:
        names = [f"attempts/{result['attempt']}/{HISTORY}"]
    else:
        attempts = range(newest, 0, -1)
        names = [f"attempts/{n}/{name}" for n in attempts for name in (HISTORY, STOPPED)]
    there = next((name for name in names if name in files), None)
    return there and f"{trial_folder(key)}/{there}"


def files_of_result(result: Mapping[str, Any]) -> dict[str, str | None]:
    """The files that belong to a result, with their SHA-256 where it is known (not in 0.1)."""
    if "attempt" not in result:
        return {}
    digests = result.get("files") or {HISTORY: None}
    return {f"attempts/{result['attempt']}/{name}": digest for name, digest in digests.items()}


def versions_of(files: Files, result: Mapping[str, Any] | None) -> Versions:
    """What the listing says of a trial's spec, its result, and the files that belong to it."""
    names = [SPEC, RESULT, *(files_of_result(result) if result else ())]
    return {name: files[name].version for name in names if name in files}

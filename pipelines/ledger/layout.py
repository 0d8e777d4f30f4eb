"""Names of the ledger's files."""

import re

from pipelines.ledger.storage import File

Files = dict[str, File]  # of one trial, by their path in its folder
KEY = re.compile(r"[a-z0-9_]+(-[a-z0-9]+)*")
ATTEMPT = re.compile(r"attempts/([0-9]+)/")
CHECKPOINT = re.compile(
    r"/attempts/(?P<attempt>\d+)/checkpoint-(?P<step>\d+)-(?P<digest>[0-9a-f]+)\.pt$"
)
DIGEST_LENGTH = 16  # hexadecimal digits


def _folder(key: str) -> str:
    if not KEY.fullmatch(key):
        raise ValueError(f"trial key {key!r}: must match {KEY.pattern}")
    return f"trials/{key}"


def _attempt_folder(key: str, number: int) -> str:
    return f"{_folder(key)}/attempts/{number}"


def _newest_attempt(files: Files) -> int:
    return max((int(match[1]) for match in map(ATTEMPT.match, files) if match), default=0)


def _error_name(attempt: int) -> str:
    return f"attempts/{attempt}/error.json"


def _steps(files: Files) -> int:
    found = (CHECKPOINT.search(f"/{name}") for name in files)
    return max((int(match["step"]) for match in found if match), default=0)


def _history_path(key: str, files: Files, newest: int) -> str | None:
    """The newest attempt's history; the result follows it, so a finished trial has one."""
    for number in range(newest, 0, -1):
        if (name := f"attempts/{number}/history.json") in files:
            return f"{_folder(key)}/{name}"
    return None


def _versions(files: Files) -> list[str | None]:
    return [files[name].version if name in files else None for name in ("spec.json", "result.json")]

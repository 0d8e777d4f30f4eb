"""The ledger's index: copies of finished trials, many to a file.

A large study is so read in few requests. It is never the truth: a row counts only while it was made
from the files that are there.

    index/N.jsonl    the digest of what follows, then a row for each trial; created once
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pipelines.documents import sha256
from pipelines.ledger.layout import RESULT, SPEC, Versions
from pipelines.ledger.storage import Storage

FOLDER = "index"


class Row(NamedTuple):
    """A finished trial, and the versions of its files as they were then."""

    key: str
    versions: Versions
    spec: Mapping[str, Any]
    result: Mapping[str, Any]


class Index(NamedTuple):
    """What the index holds: the newest row of each trial, by key.

    damaged: its files that are not as they were written, and count as not written.
    """

    rows: dict[str, Row]
    damaged: list[str]


def read_index(storage: Storage) -> Index:
    """All of it."""
    paths = sorted((f.path for f in storage.files(FOLDER)), key=lambda path: (len(path), path))
    parts = dict(zip(paths, map(_decode, storage.read_many(paths)), strict=True))
    rows = {row.key: row for part in parts.values() for row in part or ()}
    return Index(rows, [path for path, part in parts.items() if part is None])


def add_to_index(storage: Storage, rows: Iterable[Row]) -> None:
    """Write rows as one more file of the index. For the driver."""
    body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    data = sha256(body).encode() + b"\n" + body
    number = len(storage.files(FOLDER)) + 1
    while not storage.create_once(f"{FOLDER}/{number}.jsonl", data):
        number += 1


def _decode(data: bytes | None) -> list[Row] | None:
    digest, _, body = (data or b"").partition(b"\n")
    if digest != sha256(body).encode():
        return None
    return [_row(*json.loads(line)) for line in body.splitlines()]


def _row(key: str, versions: Versions | list[str], *documents: dict[str, Any]) -> Row:
    """Version 0.1 wrote the versions of spec and result alone, as a list."""
    if isinstance(versions, list):
        versions = dict(zip((SPEC, RESULT), versions, strict=True))
    return Row(key, versions, *documents)

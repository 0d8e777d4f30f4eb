"""JSON documents in a storage: read, and created once. A damaged one counts as not written."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.documents import Json, decode, encode
from pipelines.ledger.storage import Storage


def read_document(storage: Storage, path: str) -> Json | None:
    """What a document holds; None if it is missing or damaged."""
    return decode(storage.read(path), path)


def write_document(storage: Storage, path: str, document: Mapping[str, object]) -> None:
    """Write a document, whether or not there is one."""
    storage.replace(path, encode(document, path))


def create_document(storage: Storage, path: str, document: Mapping[str, object]) -> Json | None:
    """Write a document once: None if this call wrote it, else what it holds."""
    data = encode(document, path)
    if storage.create_once(path, data):
        return None
    existing = read_document(storage, path)
    if existing is None:
        storage.replace(path, data)
    return existing

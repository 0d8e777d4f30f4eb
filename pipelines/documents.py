"""The JSON documents of a study's ledger: how they are stored, and when two are the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
NOT_COMPARED = ("attempt", "cost", "files", "provenance")  # of a result: differ from run to run
#: Parts of a result that version 0.1 did not write: compared where both results have them.
YOUNGER = (
    ("held_out", "correct"),
    ("collapse",),
    *(
        ("held_out", rule, metric)
        for rule in ("last", "selected")
        for metric in ("auroc", "average_precision", "worst_class_recall")
    ),
)
DIGEST = "digest"  # a stored document's own


def encode(document: Mapping[str, object], path: str = "") -> bytes:
    """A document as it is stored: with a digest of its content, by which damage shows.

    path: where in its ledger, of which the digest is too: so a file in another's place is as
    damaged as one with a flipped bit.
    """
    return json.dumps({**document, DIGEST: _digest(document, path)}, indent=1).encode()


def decode(data: bytes | None, path: str = "") -> Json | None:
    """A JSON object that was stored (see `encode`); None if it is missing or damaged.

    Documents of version 0.1 have no digest, and are believed as long as they are JSON; the first
    digests did not know of places.
    """
    try:
        document = json.loads(data or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not document:
        return None
    if DIGEST in document:
        stored = document.pop(DIGEST)
        return document if stored in (_digest(document, path), _digest(document, "")) else None
    # The digest was written last: if its very name is damaged, it says that the rest is not.
    name, value = document.popitem()
    return document if value == _digest(document, path) else document | {name: value}


def _digest(document: Mapping[str, object], path: str) -> str:
    return digest([path, document] if path else document)


def lookup(document: Json, address: str) -> Any:
    """The value at a dotted address, such as noise.rate.

    Raises:
        KeyError: there is none; with the first part of the address that is missing.
    """
    value: Any = document
    for part in address.split("."):
        if not isinstance(value, dict) or part not in value:
            raise KeyError(part)
        value = value[part]
    return value


def assign(document: Json, address: str, value: Any) -> None:
    """Set the value at a dotted address, in place; the groups on the way to it must be there.

    Raises:
        KeyError: one is not; with its name.
    """
    group, _, name = address.rpartition(".")
    target = lookup(document, group) if group else document
    if not isinstance(target, dict):
        raise KeyError(group)
    target[name] = value


def flat(document: Mapping[str, Any], prefix: str = "") -> Json:
    """The values of a nested object by their dotted addresses."""
    values: Json = {}
    for name, part in document.items():
        values |= (
            flat(part, f"{prefix}{name}.") if isinstance(part, dict) else {f"{prefix}{name}": part}
        )
    return values


def sha256(data: bytes) -> str:
    """Hexadecimal digest."""
    return hashlib.sha256(data).hexdigest()


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """Names of what two results do not share; what differs from run to run does not count.

    Nor does what one of them lacks since an older version wrote it.
    """
    for path in YOUNGER:
        one, other = _without(one, other, *path), _without(other, one, *path)
    return sorted(
        name
        for name in {*one, *other} - {*NOT_COMPARED}
        if canonical(one.get(name)) != canonical(other.get(name))
    )


def _without(document: Mapping[str, Any], other: Mapping[str, Any], *path: str) -> Json:
    """A document without what it has at a path, where the other one has nothing there."""
    copy, (name, *rest) = dict(document), path
    if rest and isinstance(copy.get(name), dict):
        copy[name] = _without(copy[name], other.get(name) or {}, *rest)
    elif not rest and name not in other:
        copy.pop(name, None)
    return copy


def canonical(value: Any) -> str:
    """Equal for equal values."""
    return json.dumps(value, sort_keys=True)


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, independent of the order of its keys."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()

"""The JSON documents of a study's ledger: how they are stored, and when two are the same."""

import hashlib
import json
from typing import Any

Json = dict[str, Any]

NOT_COMPARED = ("attempt", "cost", "provenance")  # parts of a result that differ from run to run


def encode(document: Json) -> bytes:
    """As it is stored."""
    return json.dumps(document, indent=1).encode()


def decode(data: bytes | None) -> Json | None:
    """A stored JSON object; None if it is missing or damaged."""
    try:
        document = json.loads(data or b"")
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def sha256(data: bytes) -> str:
    """Hexadecimal digest."""
    return hashlib.sha256(data).hexdigest()


def differences(one: Json, other: Json) -> list[str]:
    """Names of what two results do not share; what differs from run to run does not count."""
    return sorted(
        name
        for name in {*one, *other} - {*NOT_COMPARED}
        if canonical(one.get(name)) != canonical(other.get(name))
    )


def canonical(value: Any) -> str:
    """Equal for equal values."""
    return json.dumps(value, sort_keys=True)

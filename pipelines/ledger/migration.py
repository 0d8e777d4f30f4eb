"""What earlier versions wrote into a ledger, as this one writes it. Files are never rewritten."""

from __future__ import annotations

from pipelines.documents import Json


def current_spec(spec: Json) -> Json:
    """A trial's spec in today's words: its role was called `phase` until version 0.1."""
    if "role" in spec or "phase" not in spec:
        return spec
    return {"role" if name == "phase" else name: value for name, value in spec.items()}

"""What earlier versions wrote into a ledger, as this one writes it. Files are never rewritten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pipelines.trial_documents import TrialSpec


def current_spec(spec: Mapping[str, Any]) -> TrialSpec:
    """A trial's spec in today's words: its role was called `phase` until version 0.1."""
    if "role" in spec or "phase" not in spec:
        return cast(TrialSpec, spec)
    renamed = {"role" if name == "phase" else name: value for name, value in spec.items()}
    return cast(TrialSpec, renamed)

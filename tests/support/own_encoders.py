"""A user's module with an encoder, that counts how often it is called."""

import sys
import types

import pytest


def own_encoders(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The module `my_encoders`: of each text `lengths` gives its length and how many o it has."""
    own = types.ModuleType("my_encoders")
    own.calls = 0

    def lengths(texts):
        own.calls += 1
        return [[len(text), text.count("o")] for text in texts]

    own.lengths = lengths
    monkeypatch.setitem(sys.modules, "my_encoders", own)
    return own

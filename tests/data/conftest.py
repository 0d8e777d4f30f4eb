"""A cache of its own for each test, and a folder of images."""

from pathlib import Path

import pytest

from tests.support.data_files import paint


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    root = tmp_path / "cache"
    monkeypatch.setenv("UNTUNED_CACHE", str(root))
    return root


@pytest.fixture
def folder(tmp_path) -> Path:
    """root/train and root/test with the classes a and b; the red of an image tells which it is."""
    root = tmp_path / "images"
    for part, colours in (("train", (10, 20, 30)), ("test", (40,))):
        for number, colour in enumerate(colours):
            paint(root / part / "a" / f"{number}.png", (colour, 0, 1))
            paint(root / part / "b" / f"{number}.png", (colour, 100, 1))
    return root

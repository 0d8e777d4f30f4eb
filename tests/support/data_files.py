"""Small files of data for tests, and what loading them must refuse."""

import csv
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipelines.data.loading import load_dataset
from pipelines.errors import UserError
from pipelines.study.labels_files import LabelsFile
from pipelines.study.protocol import Data


def write_labels(
    path: Path, lines: list, header: tuple[str, str] = ("path", "label")
) -> LabelsFile:
    """A new labels file."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    return LabelsFile(file=path)


def paint(path: Path, colour: Any, mode: str = "RGB", size: tuple[int, int] = (4, 3)) -> None:
    """An image of one colour, width x height pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def images(path: Path, **more: Any) -> Data:
    return Data(source="image_folder", path=path, **more)


def assert_refused(data: Data, message: str) -> None:
    """Loading is refused in one line that matches the message."""
    with pytest.raises(UserError, match=message) as refusal:
        load_dataset(data)
    assert "\n" not in str(refusal.value)

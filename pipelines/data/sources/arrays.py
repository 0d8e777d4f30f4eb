"""Arrays in an .npz file: x and y, and for a test set of their own x_test and y_test."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset, make_dataset, preview
from pipelines.data.source import Source
from pipelines.errors import UserError
from pipelines.study.protocol import Data

NEEDED = {"x", "y"}
KNOWN = NEEDED | {"x_test", "y_test", "classes"}


def _read(data: Data, folder: Path) -> Dataset:
    assert data.path
    arrays = _load(data.path)
    x, y, test = arrays["x"], arrays["y"], None
    if "x_test" in arrays or "y_test" in arrays:
        if not {"x_test", "y_test"} <= set(arrays) or arrays["x_test"].shape[1:] != x.shape[1:]:
            raise UserError(f"{data.path}: x_test and y_test are both needed, shaped like x and y")
        test = np.arange(len(x) + len(arrays["x_test"])) >= len(x)
        x, y = np.concatenate([x, arrays["x_test"]]), np.concatenate([y, arrays["y_test"]])
    classes = arrays["classes"].tolist() if "classes" in arrays else None
    return make_dataset(str(data.path), x, y, test=test, classes=classes)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path) as file:
            arrays = dict(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read as .npz: {error}") from None
    if not NEEDED <= set(arrays) <= KNOWN:
        raise UserError(
            f"{path}: holds {preview(arrays)}; needed are x, y, optional x_test, y_test, classes"
        )
    return arrays


SOURCES = (Source("arrays", _read, path="file", suffixes=(".npz",)),)

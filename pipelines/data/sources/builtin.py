"""Data that comes with an installed library: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.data.dataset import Dataset, make_dataset
from pipelines.data.source import Source
from pipelines.study.protocol import Data


def _digits(data: Data, folder: Path) -> Dataset:
    from sklearn.datasets import load_digits  # half of a worker's start-up, were it at the top

    x, y = load_digits(return_X_y=True)
    return make_dataset("digits", x.reshape(-1, 8, 8).astype(np.uint8), y)


def _example(data: Data) -> list[str]:
    return [
        "from sklearn.datasets import load_digits",
        "inputs = load_digits().images[:5].astype('uint8')",
    ]


SOURCES = (Source("digits", _digits, example=_example),)

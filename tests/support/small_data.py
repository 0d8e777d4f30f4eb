"""A table of 600 rows as a source of a user's own, in several states of knowledge."""

from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from pipelines.data.task import Task, prepare
from pipelines.study.protocol import Data, Protocol, Splits

NAMES = ("train", "meta", "val", "test")


def table() -> dict[str, Any]:
    """600 rows in three classes of 300, 200 and 100; the first feature tells which row it is."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(["a", "b", "c"], [300, 200, 100]))
    constant = 1 + np.arange(600) % 2 * np.finfo(np.float32).eps  # but for the last digit
    return {"x": np.stack([np.arange(600), rng.normal(5, 3, 600), constant], axis=1), "y": y}


def with_test() -> dict[str, Any]:
    """The same rows, the last 150 of them for testing and with values of their own."""
    content = table()
    content["x"][450:, 1] += 1000
    return content | {"test": np.arange(600) >= 450}


def half_known() -> dict[str, Any]:
    """The true label is known of every second row; what is observed is always a."""
    y = table()["y"]
    truth = np.where(np.arange(600) % 2 == 0, np.searchsorted(["a", "b", "c"], y), -1)
    return {"x": table()["x"], "y": np.zeros(600, int), "truth": truth, "classes": ["a", "b", "c"]}


def half_known_with_test() -> dict[str, Any]:
    return half_known() | {"test": np.arange(600) >= 450}


def unverified_test() -> dict[str, Any]:
    return half_known() | {"test": np.arange(600) % 2 == 1}


def one_class_known() -> dict[str, Any]:
    content = half_known()
    return content | {"truth": np.where(content["truth"] == 1, -1, content["truth"])}


def digits_table() -> dict[str, Any]:
    """Digits, as vectors of 64 numbers."""
    x, y = load_digits(return_X_y=True)
    return {"x": x, "y": y}


def task(data_seed: int = 0, source: str = "table", **parts: Any) -> Task:
    """The task of one of the functions above."""
    parts.setdefault("splits", Splits(meta=30, val=30, test=120))
    return prepare(Protocol(data=Data(source=f"{__name__}:{source}"), **parts), data_seed)


def index(task: Task, name: str) -> set[int]:
    """Rows of a split."""
    return set(getattr(task, name).index.tolist())

"""Whatever a function of the user's own returns: a data set of these values, or one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.data.dataset import Dataset
from pipelines.data.sources import own_function
from pipelines.errors import UserError
from pipelines.study.protocol import Data
from tests.data.test_any_file import ATTACK
from tests.support.any_file import X, Y
from tests.support.damage import outcome


def masked() -> Any:
    return np.ma.masked_array(X, mask=X > 1)


class Raises:
    def __array__(self, *_: object, **__: object) -> None:
        raise RuntimeError("no array\nat all")


def numbers(n: int = 24) -> list[Any]:
    types = ("f2", "f4", "f8", "i1", "i8", "u8", "?", "c8", "M8[s]", "m8[s]", "S3", "U3", "O", "V4")
    made: list[Any] = [np.zeros((n, 3), kind) for kind in types]
    made += [np.full((n, 3), v) for v in (np.nan, np.inf, -np.inf, 1e39, -1e300, 2**63 - 1)]
    return made


XS: list[Callable[[], Any]] = [
    *(lambda value=value: value for value in numbers()),
    X.tolist,
    lambda: [[1.0, 2.0], [3.0]],
    lambda: [["1", "2"]] * 24,
    lambda: None,
    lambda: "x",
    lambda: {},
    lambda: 3.5,
    lambda: iter(X),
    lambda: pd.DataFrame(X),
    lambda: pd.DataFrame({"a": ["u", "v"] * 12}),
    lambda: pd.DataFrame({"a": [1, None] * 12}),
    lambda: pd.DataFrame({"a": pd.array([1, None] * 12, "Int64")}),
    lambda: torch.from_numpy(X),
    lambda: torch.from_numpy(X).requires_grad_(),
    lambda: torch.from_numpy(X).bfloat16(),
    lambda: torch.from_numpy(X).to_sparse(),
    masked,
    Raises,
    lambda: np.zeros((24, 0)),
    lambda: np.zeros((0, 3)),
    lambda: np.zeros(24),
    lambda: np.zeros((24, 1, 4, 4), np.uint8),
    lambda: np.zeros((24, 4, 4, 3), np.uint8),
    lambda: np.zeros((24, 1, 4, 4), np.float32),
    lambda: np.zeros((24, 1, 1, 1, 1), np.uint8),
    lambda: np.broadcast_to(np.float32(1), (24, 10)),
]
NAMES = ["a", "b", "c"]
COLUMNS: list[Callable[[], Any]] = [
    lambda: Y,
    lambda: Y.astype(float),
    lambda: Y + 0.5,
    lambda: Y - 1,
    lambda: Y * 2**60,
    lambda: Y.astype(bool),
    lambda: [NAMES[k] for k in Y],
    lambda: pd.Series([NAMES[k] for k in Y], index=range(100, 124)),
    lambda: pd.Categorical([NAMES[k] for k in Y]),
    lambda: pd.Series([NAMES[k] for k in Y[:-1]] + [None]),
    lambda: pd.array([0, 1, None] * 8, "Int64"),
    lambda: np.ma.masked_array(Y, mask=Y > 1),
    lambda: np.array([NAMES[k] for k in Y], object),
    lambda: [*Y.tolist()[:-1], "a"],
    lambda: [*Y.tolist()[:-1], float("nan")],
    lambda: [*Y.tolist()[:-1], None],
    lambda: [[k] for k in Y],
    lambda: [{}] * 24,
    lambda: np.zeros(24, "M8[s]"),
    lambda: torch.from_numpy(Y),
    lambda: [True] * 12 + [False] * 12,
    lambda: ["\ud800"] * 12 + ["b"] * 12,
    lambda: Y[:-1],
    lambda: None,
    lambda: "abc",
    lambda: 5,
    Raises,
]
LISTS: list[Callable[[], Any]] = [
    lambda: None,
    lambda: NAMES,
    lambda: tuple(NAMES),
    lambda: np.array(NAMES),
    lambda: set(NAMES),
    lambda: "abc",
    lambda: {"a": 0, "b": 1, "c": 2},
    lambda: ["a", "a", "b"],
    lambda: ["a"],
    lambda: [],
    lambda: [1, 2, 3],
    lambda: [None, "a", "b"],
    lambda: [["a"], ["b"], ["c"]],
    lambda: 3,
    lambda: (name for name in NAMES),
    lambda: [f"example {i}" for i in range(24)],
    Raises,
]
contents = st.fixed_dictionaries(
    {
        "x": st.sampled_from([*XS, *[lambda: X] * 20]),
        "y": st.sampled_from([*COLUMNS, *COLUMNS[:1] * 9]),
    },
    optional={
        "truth": st.sampled_from(COLUMNS),
        "test": st.sampled_from(COLUMNS),
        "classes": st.sampled_from(LISTS),
        "names": st.sampled_from(LISTS),
    },
)


def attack_values(makers: dict[str, Callable[[], Any]], patch: pytest.MonkeyPatch) -> None:
    """What a user's function returns is a data set of the same values, or told in one line."""
    given = {name: make() for name, make in makers.items()}
    patch.setattr("pipelines.own_modules.load", lambda *_: lambda: given)
    source = own_function("mine:data")
    result = outcome(lambda: source.read(Data(source="mine:data"), Path()))
    if isinstance(result, UserError):
        assert str(result).startswith(("mine:data: ", "data.source = 'mine:data'"))
        return
    assert not np.ma.isMaskedArray(given["x"]) and not np.ma.isMaskedArray(given["y"])
    expected = np.asarray(given["x"])
    with np.errstate(over="ignore"):
        assert (result.x.reshape(expected.shape) == expected.astype(result.x.dtype)).all()
    check_labels(result, given)


def check_labels(result: Dataset, given: dict[str, Any]) -> None:
    assert np.isfinite(result.x).all() and result.x.size
    assert result.observed.min() >= 0 and result.observed.max() < len(result.classes) > 1
    assert result.truth.min() >= -1 and result.truth.max() < len(result.classes)
    assert not isinstance(given.get("classes"), str | set | dict)
    names = [result.classes[k] for k in result.observed]
    labels = np.asarray(given["y"]).tolist()
    whole = [int(v) if isinstance(v, float) else v for v in labels]
    assert names in ([str(v) for v in whole], [result.classes[v] for v in whole if v in range(3)])


@settings(ATTACK, max_examples=150)
@given(makers=contents)
def test_what_a_users_function_returns_is_taken_as_it_is_or_told_in_one_line(makers, monkeypatch):
    attack_values(makers, monkeypatch)


@pytest.mark.slow
@settings(ATTACK, max_examples=600)
@given(makers=contents)
def test_many_returns_are_taken_as_they_are_or_told_in_one_line(makers, monkeypatch):
    attack_values(makers, monkeypatch)

"""A table's columns as a network's features: what is learned of rows, and nothing but that.

Learned are the medians of columns with empty cells, which columns have any, and the values of
categories: from the features of the training split alone. A `ColumnTransformer` is made of these
plain values, in the trial as from a model's file, so that no file holds pickled code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.data.columns import Column, Floats
from pipelines.documents import Json

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

MOST_VALUES = 50  # of a category, that get a feature each: the most frequent ones
BLOCK = 10_000  # rows that are converted at once


class Conversion:
    """Rows as `columns.parse` gives them [n, C] -> features [n, D], both float32.

    D: the numbers, then what empty cells were filled of, then a flag for each column that had any,
    then a feature for each value of a category. Of a value without one they are all 0. Last are the
    features of texts, as they are.
    learned: `medians` and `flagged` by column, `categories` by column; as `fit` makes it.
    """

    def __init__(self, columns: Sequence[Column], learned: Json) -> None:
        self.columns, self.learned = tuple(columns), learned

    @classmethod
    def fit(cls, columns: Sequence[Column], rows: Floats) -> Conversion:
        """What is learned of rows [n, C]: those of the training split."""
        filled = _places(columns, "impute", "boolean", "date", "ordinal")
        medians: list[float] = []
        if filled:
            from sklearn.impute import SimpleImputer  # takes a second, and most data has no use

            imputer = SimpleImputer(strategy="median", keep_empty_features=True)
            medians = np.asarray(imputer.fit(rows[:, filled]).statistics_).tolist()
        flagged = [place for place in filled if np.isnan(rows[:, place]).any()]
        categories = [_commonest(rows[:, place]) for place in _places(columns, "one_hot")]
        return cls(columns, {"medians": medians, "flagged": flagged, "categories": categories})

    @property
    def changes(self) -> bool:
        """Whether anything is not as it was."""
        return any(column.kind != "number" for column in self.columns)

    def __call__(self, rows: Floats) -> Floats:
        """Features [n, D] of rows [n, C]."""
        if not self.changes:
            return rows
        blocks = range(0, max(len(rows), 1), BLOCK)
        return np.concatenate(
            [self._transformer.transform(rows[b : b + BLOCK]).astype(np.float32) for b in blocks]
        )

    @cached_property
    def _transformer(self) -> ColumnTransformer:
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import MissingIndicator, SimpleImputer
        from sklearn.preprocessing import OneHotEncoder

        columns = self.columns
        filled = _places(columns, "impute", "boolean", "date", "ordinal")
        known = [[math.nan if v is None else v for v in c] for c in self.learned["categories"]]
        categories: Any = [np.array(values, np.float32) for values in known] or "auto"
        encoder = OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
        steps = [
            ("number", "passthrough", _places(columns, "number")),
            ("filled", SimpleImputer(strategy="median"), filled),
            ("empty", MissingIndicator(features="all"), self.learned["flagged"]),
            ("one_hot", encoder, _places(columns, "one_hot")),
            ("text", "passthrough", _places(columns, "text")),
        ]
        transformer = ColumnTransformer([s for s in steps if s[2]], sparse_threshold=0)
        # The median of one row is that row: so it is fitted to exactly what was learned.
        row = np.zeros((1, sum(column.width for column in columns)), np.float32)
        row[0, filled] = self.learned["medians"]
        return transformer.fit(row)

    def state(self) -> Json:
        """Plain values, of which `from_state` makes the same conversion."""
        return {"columns": [column.state() for column in self.columns], "learned": self.learned}

    @classmethod
    def from_state(cls, state: Json) -> Conversion:
        """The conversion of a model's file."""
        return cls([*map(Column.from_state, state["columns"])], state["learned"])


def _places(columns: Sequence[Column], *kinds: str) -> list[int]:
    """Where the columns of some kinds are in a row."""
    ends = accumulate(column.width for column in columns)
    return [
        place
        for column, end in zip(columns, ends, strict=True)
        if column.kind in kinds
        for place in range(end - column.width, end)
    ]


def _commonest(codes: Floats) -> list[Any]:
    """The most frequent values, rising; of equally frequent ones the first; None: an empty cell."""
    values, counts = np.unique(codes, return_counts=True)  # all nan are one, and the last
    kept = np.sort(np.argsort(-counts, kind="stable")[:MOST_VALUES])
    return [None if math.isnan(value) else value for value in values[kept].tolist()]

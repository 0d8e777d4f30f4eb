"""Columns of a table as numbers, cell by cell: nothing here depends on any other row.

What is learned from rows (medians, which values there are) is in conversion.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.documents import Json
from pipelines.errors import UserError, one_line
from pipelines.study.column_rules import Kind, Rule
from pipelines.study.encoders import Encoder

if TYPE_CHECKING:
    import pandas as pd

#: What people write into a cell of numbers that they do not know.
EMPTY = {"", "?", "-", "--", ".", "na", "n/a", "#n/a", "nan", "null", "none"}
WORDS = {"yes": 1.0, "y": 1.0, "true": 1.0, "t": 1.0, "1": 1.0} | {
    word: 0.0 for word in ("no", "n", "false", "f", "0")
}
UNKNOWN = -1.0  # a category that was not in the table
LISTED = 8  # values that a message names

Floats = NDArray[np.float32]


Encode = Callable[["Column", list[str]], Floats]
"""Features [n, width] of the n texts of a column."""


@dataclass(frozen=True)
class Column:
    """A feature's name, and what is done with it.

    values: of `ordinal` in their order, of `one_hot` those of the table; a category is a number of
    one of them. format: of `date`. encoder: of `text`; width: how many features it gives; content:
    the digest of the table's texts and of the encoder, since features may differ from one processor
    to another by rounding.
    """

    name: str
    kind: Kind = "number"
    values: tuple[str, ...] = ()
    format: str | None = None
    encoder: Encoder | None = None
    width: int = 1
    content: str | None = None

    def state(self) -> Json:
        """Plain values, of which `from_state` makes the same column."""
        values = asdict(self) | {"values": list(self.values)}
        # Not there where there are no texts: data sets from before there were have a fingerprint.
        if self.kind != "text":
            for name in ("encoder", "width", "content"):
                del values[name]
        return values

    @classmethod
    def from_state(cls, state: Json) -> Column:
        """The column of a file."""
        values: Json = state | {"values": tuple(state["values"])}
        return cls(**values)


def column_of(name: str, rule: Rule, cells: pd.Series) -> Column:
    """A column with its rule, and of `one_hot` with the values that occur."""
    values = rule.values
    if rule.kind == "one_hot":
        values = tuple(sorted({text for text in texts(cells) if text is not None}))
    return Column(name, rule.kind, values, rule.format, rule.encoder)


def parse(
    columns: Sequence[Column], frame: pd.DataFrame, origin: str, encode: Encode | None = None
) -> Floats:
    """A table as numbers [n, C], an empty cell as nan; of a text column its features.

    origin: names the table in errors. encode: makes features of texts, where there are such.

    Raises:
        UserError: a column is not there, or a cell is not what its rule says.
    """
    twice = frame.columns[frame.columns.duplicated()].tolist()
    for column in columns:
        if column.name not in frame.columns or column.name in twice:
            problem = "two columns" if column.name in twice else "no column"
            raise UserError(
                f"{origin}: {problem} {column.name!r}; it has {_some(frame.columns)}; the model "
                f"takes {_some(c.name for c in columns)}"
            )
    cells: Any = frame  # whose columns are series, since no two share a name
    return np.concatenate(
        [
            encode(c, [text or "" for text in texts(cells[c.name])])
            if encode and c.kind == "text"
            else _numbers(c, cells[c.name], origin)[:, None]
            for c in columns
        ],
        axis=1,
    )


def _numbers(column: Column, cells: pd.Series, origin: str) -> Floats:
    if column.kind in ("number", "impute"):
        numbers = as_numbers(cells)
        allowed = "a number"
    elif column.kind == "boolean":
        words = [None if t is None else t.lower() for t in texts(cells)]
        numbers = _coded(words, WORDS, math.inf)
        allowed = "yes or no, true or false, 1 or 0"
    elif column.kind == "date":
        numbers = as_days(cells, column.format)
        allowed = f"a date like {column.format or '2026-11-27'}"
    else:
        codes = {value: float(number) for number, value in enumerate(column.values)}
        numbers = _coded(texts(cells), codes, math.inf if column.kind == "ordinal" else UNKNOWN)
        allowed = f"one of {_some(column.values)}"
    with np.errstate(over="ignore"):
        numbers = numbers.astype(np.float32)
    if (odd := np.isinf(numbers)).any():
        row = int(odd.argmax())
        raise UserError(
            f"{origin}: row {cells.index[row]}, column {column.name!r} is {_cell(cells, row)}: by "
            f"its rule ({column.kind}) it must be {allowed}"
        )
    if column.kind == "number" and (empty := int(np.isnan(numbers).sum())):
        first = cells.index[int(np.isnan(numbers).argmax())]
        raise UserError(
            f"{origin}: column {column.name!r} has {empty} empty cells, the first in row {first}; "
            "the rule impute takes such, number does not"
        )
    return numbers


def as_numbers(cells: pd.Series) -> NDArray[np.float64]:
    """Numbers [n]; nan where a cell is empty, infinite where it is no number."""
    if cells.dtype.kind in "iufb":
        return cells.to_numpy(np.float64, na_value=np.nan)
    return np.array([_number(cell) for cell in cells.tolist()], np.float64)


def _number(cell: Any) -> float:
    if _is_empty(cell) or (isinstance(cell, str) and cell.strip().lower() in EMPTY):
        return math.nan
    try:
        number = float(cell)
    except (TypeError, ValueError, OverflowError):
        return math.inf
    return math.inf if math.isnan(number) else number


def as_days(cells: pd.Series, written: str | None = None) -> NDArray[np.float64]:
    """Days [n] since 1970, UTC; nan where a cell is empty, infinite where it is no date."""
    import pandas as pd  # slow to import, and most workers need none of it

    if cells.dtype.kind in "iufb":  # a number of what, is nowhere said
        return np.where(cells.isna(), np.nan, np.inf)
    if cells.dtype.kind != "M":
        plain = [c.strip() or None if isinstance(c, str) else c for c in cells.tolist()]
        cells = pd.Series(plain, dtype=object)
    try:
        times = pd.to_datetime(cells, utc=True, errors="coerce", format=written or "ISO8601")
    except ValueError as error:
        raise UserError(f"date {written!r}: {one_line(error)}") from None
    epoch, day = pd.Timestamp(0, tz="UTC"), pd.Timedelta(days=1)
    days = ((times - epoch) / day).to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isnan(days) & ~cells.isna().to_numpy(), np.inf, days)


def texts(cells: pd.Series) -> list[str | None]:
    """Values of categories as text, None where a cell is empty; 1, 1.0 and "1" are the same."""
    return [text_of(cell) for cell in cells.tolist()]


def text_of(cell: Any) -> str | None:
    """A cell as text, None if it is empty."""
    if _is_empty(cell):
        return None
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip() or None


def _is_empty(cell: Any) -> bool:
    if cell is None or type(cell).__name__ in ("NaTType", "NAType"):
        return True
    return isinstance(cell, float) and math.isnan(cell)


def _coded(
    words: Iterable[str | None], codes: dict[str, float], otherwise: float
) -> NDArray[np.float64]:
    numbers = [math.nan if word is None else codes.get(word, otherwise) for word in words]
    return np.array(numbers, np.float64)


def _some(names: Iterable[Any]) -> str:
    listed = [str(name) for name in names]
    more = f", ... ({len(listed)} in all)" if len(listed) > LISTED else ""
    return ", ".join(listed[:LISTED]) + more


def _cell(cells: pd.Series, row: int) -> str:
    text = repr(cells.iloc[row])
    return text if len(text) < 60 else f"{text[:60]}…"

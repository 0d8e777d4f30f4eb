"""What to do with each column of a table that nobody has described: a proposal, and why.

It looks at a column's values alone, never at labels; the study file has it, for a person to change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipelines.data.columns import WORDS, as_days, as_numbers, texts
from pipelines.data.table_rows import is_part, is_part_flag
from pipelines.study.encoders import WORDS as HASHED

if TYPE_CHECKING:
    import pandas as pd

#: Names of columns that call a row something.
IDENTIFIER = re.compile(r"(?i).*(?:^|[^a-z])(?:id|uuid|guid|key|number|nr|no)$|.*[a-z](?:Id|ID)$")
#: In the order in which they are tried; where both a day and a month may come first, the month.
DATES = ("%d.%m.%Y", "%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M")
AMBIGUOUS = ("%m/%d/%Y", "%d/%m/%Y")
SCALES = (
    ("very low", "low", "mid", "medium", "high", "very high"),
    ("xs", "s", "m", "l", "xl", "xxl"),
    ("small", "medium", "large"),
    ("never", "rarely", "sometimes", "often", "always"),
    ("poor", "fair", "good", "very good", "excellent"),
    ("bad", "average", "good"),
    ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
)
MANY = 20  # different texts: from here on they are identifiers or free text, if most are different
MOST = 0.5
A_TEXT = 5  # words on average: shorter ones are names and addresses
SHOWN = 4


class Proposal(NamedTuple):
    """A rule as a study file has it, and why."""

    rule: Any
    why: str


def propose(name: str, cells: pd.Series) -> Proposal:
    """What to do with a column."""
    kinds = {type(cell) for cell in cells.tolist()} & {dict, list, bytes, np.ndarray, tuple}
    if kinds:
        return Proposal("drop", f"{min(k.__name__ for k in kinds)}: not to be made a feature")
    words = texts(cells)
    values = sorted({word for word in words if word is not None})
    empty = sum(word is None for word in words)
    if not values:
        return Proposal("drop", "empty")
    if len(values) == 1 and not empty:
        return Proposal("drop", f"constant: always {_shown(values)}")
    if is_part_flag(name, cells) or (is_part(values) and not empty):
        return Proposal("drop", f"says which part of the data a row is of: {_shown(values)}")
    return (
        _as_boolean(cells, values, empty)
        or _as_number(name, cells)
        or _as_date(cells, empty)
        or _as_text(cells, len(values), len(cells) - empty)
        or _as_category(name, words, values, empty)
    )


def _as_boolean(cells: pd.Series, values: Sequence[str], empty: int) -> Proposal | None:
    if (
        cells.dtype.kind in "iuf"
        or not {v.lower() for v in values} <= set(WORDS)
        or len(values) < 2
    ):
        return None
    return Proposal("boolean", f"{_shown(values)}{_filled(empty, len(cells))}")


def _as_number(name: str, cells: pd.Series) -> Proposal | None:
    numbers = as_numbers(cells)
    known = numbers[~np.isnan(numbers)]
    if not len(known) or np.isinf(known).any():
        return None
    different, whole = len(np.unique(known)), (known == np.floor(known)).all()
    if whole and len(known) == len(cells) == different and len(cells) > 1:
        if (np.diff(np.sort(known)) == 1).all():
            return Proposal("drop", "numbers the rows")
        if IDENTIFIER.fullmatch(name):
            return Proposal("drop", "identifier: no value occurs twice")
    span = f"{known.min():g} to {known.max():g}"
    if empty := len(cells) - len(known):
        return Proposal("impute", f"{span}{_filled(empty, len(cells))}")
    codes = f"; {different} values: one_hot if they are codes" if whole and different < 10 else ""
    return Proposal("number", span + codes * (different > 2))


def _as_date(cells: pd.Series, empty: int) -> Proposal | None:
    filled = _filled(empty, len(cells))
    if not np.isinf(as_days(cells)).any():
        return Proposal("date", f"days since 1970{filled}")
    fitting = [written for written in DATES if not np.isinf(as_days(cells, written)).any()]
    if not fitting:
        return None
    doubt = "; or is the day first? both fit" if set(AMBIGUOUS) <= set(fitting) else ""
    return Proposal({"date": fitting[0]}, f"days since 1970{doubt}{filled}")


def _as_text(cells: pd.Series, different: int, known: int) -> Proposal | None:
    if different <= max(MANY, MOST * known) or (length := words_of(cells)) < A_TEXT:
        return None
    told = f"texts of {length:.0f} words on average, hashed; docs/data.md has other encoders"
    return Proposal(HASHED, told)


def words_of(cells: pd.Series) -> float:
    """Words of a cell that is not empty, on average."""
    written = [cell for cell in texts(cells) if cell]
    return sum(len(cell.split()) for cell in written) / max(1, len(written))


def _as_category(
    name: str, words: Sequence[str | None], values: Sequence[str], empty: int
) -> Proposal:
    known = len(words) - empty
    if len(values) == known > MANY or (IDENTIFIER.fullmatch(name) and len(values) > known / 2):
        return Proposal(
            "drop", f"identifier or free text: {len(values):,} values, {_shown(values)}"
        )
    if len(values) > max(MANY, MOST * known):
        return Proposal("drop", f"free text: {len(values):,} values, such as {_shown(values[:1])}")
    more = f"; {empty:,} empty: a value of its own" if empty else ""
    for scale in SCALES:
        if len(values) > 2 and {value.lower() for value in values} <= set(scale):
            order = sorted(values, key=lambda value: scale.index(value.lower()))
            return Proposal({"ordinal": order}, f"in this order{_filled(empty, len(words))}")
    return Proposal("one_hot", f"{len(values):,} values: {_shown(values)}{more}")


def _filled(empty: int, n: int) -> str:
    return f"; {empty:,} of {n:,} empty: median of the training split, and a flag" if empty else ""


def _shown(values: Sequence[str]) -> str:
    """The first values, on one line."""
    short = [" ".join(v.split()) for v in values[:SHOWN]]
    cut = [v if len(v) <= 24 else f"{v[:24]}…" for v in short]
    return ", ".join(cut) + ", ..." * (len(values) > SHOWN)

"""What the columns of a table are for, as far as their names and cells tell: `new` asks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipelines.data.columns import texts
from pipelines.data.proposal import propose, words_of
from pipelines.data.table_rows import PARTS, is_part, is_part_flag

if TYPE_CHECKING:
    import pandas as pd

#: Names of columns that hold the label, the likeliest first.
LABELS = re.compile(r"(?i)label|labels|class|target|category|y")
MOST_CLASSES = 0.2  # of all rows: with more different values a column is no label
WORDS = 3  # of a text, on average: with fewer it is a name


def guess_label(frame: pd.DataFrame) -> str | None:
    """The column that holds the label, by its name, else the last one that may; None: none may."""
    import pandas as pd

    for name in [*(n for n in frame if LABELS.fullmatch(str(n))), *reversed(frame.columns)]:
        cells = pd.Series(frame[name])
        words = texts(cells)
        different = {*words}
        if None in different or is_part(different) or is_part_flag(str(name), cells):
            continue
        if 1 < len(different) <= max(2, MOST_CLASSES * len(words)):
            return str(name)
    return None


def split_column(frame: pd.DataFrame) -> str | None:
    """The first column whose cells say which rows are for training and which ones for testing."""
    for name, cells in frame.items():
        different = {*texts(cells)}
        if is_part(different) and {"train", "test"} <= {PARTS[str(d).lower()] for d in different}:
            return str(name)
    return None


def text_column(frame: pd.DataFrame) -> str | None:
    """The one column of texts, where a table has nothing else that could be a feature."""
    found = []
    for name, cells in frame.items():
        rule = propose(str(name), cells).rule
        if rule not in ("drop", "words"):
            return None
        if words_of(cells) >= WORDS:
            found.append(str(name))
    return found[0] if len(found) == 1 else None

"""Which columns of a table are the label, and which one holds texts: what `new` takes them for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipelines.data.columns import texts
from pipelines.data.proposal import propose

if TYPE_CHECKING:
    import pandas as pd

#: Names of columns that hold the label, the likeliest first.
LABELS = re.compile(r"(?i)label|labels|class|target|category|y")
MOST_CLASSES = 0.2  # of all rows: with more different values a column is no label
#: Values of a column that says which part of the data a row is of.
PARTS = {"train", "training", "test", "val", "valid", "validation", "dev"}
WORDS = 3  # of a text, on average: with fewer it is a name


def guess_label(frame: pd.DataFrame) -> str | None:
    """The column that holds the label, by its name, else the last one that may; None: none may."""
    import pandas as pd

    for name in [*(n for n in frame if LABELS.fullmatch(str(n))), *reversed(frame.columns)]:
        words = texts(pd.Series(frame[name]))
        different = len({*words})
        if None not in words and 1 < different <= max(2, MOST_CLASSES * len(words)):
            return str(name)
    return None


def text_column(frame: pd.DataFrame) -> str | None:
    """The one column of texts, where a table has nothing else that could be a feature."""
    found = []
    for name, cells in frame.items():
        if propose(str(name), cells).rule != "drop":
            if not _is_part(cells):
                return None
        elif _words(cells) >= WORDS:
            found.append(str(name))
    return found[0] if len(found) == 1 else None


def _words(cells: pd.Series) -> float:
    """Words of a cell, on average."""
    written = [cell for cell in texts(cells) if cell]
    return sum(len(cell.split()) for cell in written) / max(1, len(written))


def _is_part(cells: pd.Series) -> bool:
    return {str(cell).lower() for cell in cells.unique()} <= PARTS

"""What `new` sees of a table before it is read: which column is what, and what to do with each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.data.columns import text_of
from pipelines.data.dataset import preview
from pipelines.data.proposal import Proposal, propose
from pipelines.data.roles import guess_label, split_column, text_column
from pipelines.data.source import FirstLook
from pipelines.data.table_file import Columns, as_written, frame_of, read_columns
from pipelines.data.table_rows import (
    features_of,
    is_index,
    is_number,
    is_part_flag,
    is_text,
    parts_of,
)
from pipelines.errors import UserError
from pipelines.study.column_rules import rule_of
from pipelines.study.encoders import WORDS
from pipelines.study.protocol import Data


def look(data: Data) -> FirstLook:
    """What to do with each column; where that is to leave out what numbers the rows, `drop`.

    Or, where nothing but a column of texts could be a feature, that this is a source of texts.
    """
    assert data.path
    columns = read_columns(data)
    data, notes = _with_roles(data, columns)
    features = features_of(data, columns)
    own: dict[str, Any] = {"target": data.target} | ({"split": data.split} if data.split else {})
    frame = frame_of(features)
    if text := text_column(frame):
        told = f"column {text!r} alone; features by {WORDS!r}, or docs/data.md#texts-and-encoders"
        notes.append(("text", told))
        own |= {"text": text, "encoder": WORDS}
        names = _identifiers(data, features, [text])
        return FirstLook(own, notes=notes, source="text", identifiers=names)
    numbering = [n for n, c in features.items() if is_index(n, c) or _numbers_rows(c)]
    flags = [str(name) for name, cells in frame.items() if is_part_flag(str(name), cells)]
    used = {n: column for n, column in features.items() if n not in (*numbering, *flags)}
    if all(is_number(c.type) and not c.null_count for c in used.values()):
        notes.append(("features", preview(used)))
        if numbering:
            notes.append(("left out", f"{preview(map(repr, numbering))}: numbers the rows"))
        if flags:
            notes.append(("left out", f"{preview(map(repr, flags))}: says which part a row is of"))
        if numbering or flags:
            own["drop"] = (*numbering, *flags)
        return FirstLook(own, notes=notes, identifiers=_identifiers(data, features))
    proposals = {str(name): propose(str(name), cells) for name, cells in frame.items()}
    own["columns"], told = _rules(data, proposals)
    notes.append(("columns", told))
    reasons = {name: proposal.why for name, proposal in proposals.items()}
    names = _identifiers(data, features, [n for n, rule in own["columns"].items() if rule == WORDS])
    return FirstLook(own, notes=notes, reasons=reasons, identifiers=names)


def _with_roles(data: Data, columns: Columns) -> tuple[Data, list[tuple[str, str]]]:
    """With the columns that hold the label, where it has another name than was said, and the parts.

    And a note on each of them.
    """
    notes, frame = [], frame_of(columns)
    if data.target not in columns and (guess := guess_label(frame)):
        notes.append(("label", f"column {guess!r}, a guess: --target names another one"))
        data = data.model_copy(update={"target": guess})
    if split := split_column(frame.drop(columns=data.target, errors="ignore")):
        data = data.model_copy(update={"split": split})
        count = Counter(parts_of(data, columns).tolist())
        said = f"column {split!r}: {count['train']:,} train, {count['test']:,} test"
        if count["val"]:
            said += f"; {count['val']:,} val are left out, as a folder's val/ is"
        notes.append(("split", said))
    return data, notes


def _rules(data: Data, proposals: dict[str, Proposal]) -> tuple[dict[str, Any], str]:
    """What is done with each column, as a study has it and in a few words.

    Raises:
        UserError: all are dropped.
    """
    rules = {name: proposal.rule for name, proposal in proposals.items()}
    counts = Counter(rule_of(rule).kind for rule in rules.values())
    if not set(counts) - {"drop"}:
        why = "; ".join(f"{name!r} ({proposals[name].why})" for name in list(rules)[:3])
        raise UserError(f"{data.path}: no column can be a feature: {why}")
    return rules, ", ".join(f"{n} {kind}" for kind, n in counts.most_common())


def _identifiers(
    data: Data, features: Columns, texts: Collection[str] = ()
) -> dict[str, list[str]]:
    """Columns that may name the rows: whole numbers or words, none empty, no two alike.

    texts: columns that hold such, and no words.
    """
    found = {}
    for name, column in features.items():
        if name in texts or not (pa.types.is_integer(column.type) or is_text(column.type)):
            continue
        if len(column.unique()) == len(column):
            cells = [text_of(cell) for cell in as_written(data, name, column).to_pylist()]
            if None not in cells:
                found[name] = cells
    return found


def _numbers_rows(column: pa.ChunkedArray) -> bool:
    """Whether a column holds n consecutive numbers, in any order."""
    if not pa.types.is_integer(column.type) or column.null_count or len(column) < 2:
        return False
    values = np.sort(column.to_numpy())
    return bool((np.diff(values) == 1).all())

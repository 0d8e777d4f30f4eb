"""The findings as a page of tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.record_file import Record

#: Of a record: those that a part's records do not have are left out.
COLUMNS = {
    "steps": "model precision arm peer engine lookahead graph last_layers without count "
    "ratio_to_plain ratio_low ratio_high peak_ratio_to_plain seconds images_per_second "
    "flops_per_second steps_replayed not_replayed failed",
    "fast": "model precision arm without ratio_to_plain ratio_low ratio_high not_replayed",
}


def page(records: Iterable[Record]) -> str:
    """Markdown: one table for each part."""
    parts: dict[str, list[Record]] = {}
    for record in records:
        parts.setdefault(record["part"], []).append(record)
    return "\n".join(_section(part, found) for part, found in parts.items())


def _section(part: str, records: list[Record]) -> str:
    found = [record for record in records if "end" not in record]
    end = next((record["end"] for record in records if "end" in record), "still running")
    for record in found:
        if "flops" in record and "seconds" in record:
            record["flops_per_second"] = record["flops"] / record["seconds"]
    names = list(dict.fromkeys(name for record in found for name in record if name != "part"))
    if chosen := COLUMNS.get(part.split(maxsplit=1)[0]):
        names = [name for name in chosen.split() if name in names]
    rows = [names, ["---"] * len(names), *([_cell(r.get(n)) for n in names] for r in found)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows) if names else ""
    return f"## {part}\n\n{end}\n\n{table}\n"


def _cell(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:.3e}"

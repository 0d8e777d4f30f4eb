"""What a benchmark has found so far: a file that goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Records:
    """What was found: a file of one JSON object a line, which a kill leaves readable."""

    def __init__(self, out: Path) -> None:
        self._file = out / "records.jsonl"

    def read(self) -> list[Record]:
        """All of them; a line that was cut off is none."""
        found = []
        for line in self._file.read_text().splitlines() if self._file.exists() else ():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return found

    def add(self, record: Record) -> None:
        """Write one more."""
        with self._file.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def drop(self, part: str) -> None:
        """A part that was not done begins anew."""
        self._write(record for record in self.read() if record["part"] != part)

    def _write(self, records: Iterable[Record]) -> None:
        text = "".join(json.dumps(record) + "\n" for record in records)
        temporary = self._file.with_suffix(".new")
        temporary.write_text(text)
        temporary.replace(self._file)

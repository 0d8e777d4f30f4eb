"""Reads back what W&B writes offline: a header of 7 bytes, then LevelDB's log format."""

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

FILE_HEADER, BLOCK, HEADER = 7, 32768, 7
RECORD: Any = vars(wandb_internal_pb2)["Record"]  # made at run time, unknown to type checkers
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """One run directory. `exit_code` is None if the run was not finished."""

    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    step_metrics: dict[str, str] = field(default_factory=dict)
    exit_code: int | None = None


def offline_runs(directory: Path) -> list[OfflineRun]:
    """The runs below a directory that was given to `wandb.init(dir=...)`, oldest first."""
    return [read_run(file) for file in sorted(directory.glob("wandb/offline-run-*/*.wandb"))]


def read_run(file: Path) -> OfflineRun:
    """One `.wandb` file, as far as it was written."""
    logged = OfflineRun()
    for record in records(file.read_bytes()):
        match record.WhichOneof("record_type"):
            case "run":
                logged.run = record.run
                _update(logged.config, record.run.config.update)
            case "history":
                row: dict[str, Any] = {}
                _update(row, record.history.item)
                logged.history.append(_without_internals(row))
            case "summary":
                _update(logged.summary, record.summary.update)
            case "metric" if record.metric.step_metric:
                logged.step_metrics[record.metric.glob_name] = record.metric.step_metric
            case "exit":
                logged.exit_code = record.exit.exit_code
    logged.config, logged.summary = map(_without_internals, (logged.config, logged.summary))
    return logged


def records(data: bytes) -> Iterator[Any]:
    """The records of a file; one that was cut off at the end is left out."""
    assert data[:4] == b":W&B"
    offset, body = FILE_HEADER, b""
    while True:
        rest_of_block = BLOCK - offset % BLOCK
        if rest_of_block < HEADER:
            offset += rest_of_block
        start = offset + HEADER
        if start > len(data):
            return
        checksum, length, kind = struct.unpack_from("<IHB", data, offset)
        offset = start + length
        if kind == 0 or offset > len(data):
            return
        part = data[start:offset]
        assert checksum == zlib.crc32(bytes([kind]) + part)
        body = part if kind in (FULL, FIRST) else body + part
        if kind in (FULL, LAST):
            yield RECORD.FromString(body)


def _update(into: dict[str, Any], items: Iterable[Any]) -> None:
    for item in items:
        *parents, name = item.nested_key or [item.key]
        target = into
        for parent in parents:
            target = target.setdefault(parent, {})
        target[name] = json.loads(item.value_json)


def _without_internals(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not name.startswith("_")}

"""TensorBoard: an event file per trial, for whoever looks on with `tensorboard --logdir`.

The ledger is the truth and the file a view of it: one that cannot be written costs a warning, and
the trial goes on. A trial that is resumed writes its file anew, from the rows of its checkpoint, so
no row is there twice.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.documents import Json
from pipelines.tracking.rows import Histogram, TrackedRow
from pipelines.trial_documents import TrialSpec

if TYPE_CHECKING:  # a trial that is not logged so does not wait for it
    from tensorboardX.event_file_writer import EventsWriter

Summary = Any  # a message of a protocol buffer: TensorBoard's
FOLDER = "tensorboard"  # in which all of a study's are
logger = logging.getLogger(__name__)


@contextmanager
def event_file(
    spec: TrialSpec, directory: Path, history: Iterable[TrackedRow] = ()
) -> Iterator[EventFile]:
    """A trial's event file, below a directory's folder tensorboard; closed on leaving.

    history: rows of the checkpoint that the trial resumes from.
    """
    written = EventFile(spec, directory / FOLDER / spec["arm"] / _name(spec))
    try:
        for row in history:
            written.log(row)
        yield written
    finally:
        written.close()


def _name(spec: TrialSpec) -> str:
    """Of a trial's folder: what it is for, and enough of its key to be its own."""
    return f"{spec['role']}-{spec['repeat']}.{spec['index']}-{spec['key'].rpartition('-')[2]}"


class EventFile:
    """One trial's file; if it cannot be written, its rows go nowhere."""

    def __init__(self, spec: TrialSpec, folder: Path) -> None:
        self._spec = spec
        self._writer: EventsWriter | None = None
        try:
            # Not SummaryWriter, which leaves writing to a thread: then nobody knows what is there.
            from tensorboardX.event_file_writer import EventsWriter

            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._writer = EventsWriter(str(folder / "events"))
        except Exception as error:
            self._give_up(error)

    def log(self, row: TrackedRow) -> None:
        """Write a row of the history under its epoch: numbers and histograms, but no texts."""
        self._write(lambda: _shown(row), row["epoch"])

    def summarize(self, values: Json) -> None:
        """Write what TensorBoard's table of hyperparameters shows: what was tuned, and its val."""
        numbers = {f"end/{n}": v for n, v in values.items() if isinstance(v, int | float)}

        def shown() -> Iterator[Summary]:
            from tensorboardX.summary import hparams

            spec = self._spec
            known = {n: spec[n] for n in ("arm", "role", "repeat", "index")} | spec["config"]
            # Without the first part, an experiment's, which would be of this arm alone: TensorBoard
            # gathers columns of all trials by itself.
            _, *session = hparams(known, numbers)
            yield from session
            yield from _shown(numbers)

        self._write(shown, 0)

    def close(self) -> None:
        """Let go of the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(OSError):
                writer.close()

    def _write(self, shown: Callable[[], Iterable[Summary]], step: object) -> None:
        if self._writer is None:
            return
        try:
            from tensorboardX.proto.event_pb2 import (
                Event,  # pyright: ignore[reportAttributeAccessIssue]
            )

            for summary in shown():
                event = Event(wall_time=time.time(), summary=summary, step=step)
                self._writer.write_event(event)
            self._writer.flush()  # somebody may look on
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._writer = None
        reason = " ".join(str(error).split())
        logger.warning(
            "TensorBoard, trial %s: it is logged no further (%s: %s)",
            self._spec["key"],
            type(error).__name__,
            reason,
        )


def _shown(row: Mapping[str, object]) -> Iterator[Summary]:
    """What TensorBoard draws of a row; a histogram's heights stand between its edges."""
    from tensorboardX.summary import histogram_raw, scalar

    for name, value in row.items():
        if isinstance(value, Histogram):
            edges, heights = np.asarray(value.edges, float), np.asarray(value.heights, float)
            centres = (edges[1:] + edges[:-1]) / 2
            yield histogram_raw(
                name,
                min=float(edges[0]),
                max=float(edges[-1]),
                num=float(heights.sum()),
                sum=float(heights @ centres),
                sum_squares=float(heights @ centres**2),
                bucket_limits=edges[1:].tolist(),
                bucket_counts=heights.tolist(),
            )
        elif name != "epoch" and isinstance(value, int | float):
            yield scalar(name, value)

"""All that a trial is logged to: its W&B run and, where a launch asks for it, an event file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from pipelines.documents import Json
from pipelines.tracking.event_file import event_file
from pipelines.tracking.mode import Mode
from pipelines.tracking.rows import TrackedRow
from pipelines.tracking.run import tracker
from pipelines.trial_documents import TrialSpec


class Logger(Protocol):
    """What one place to log to can do; nothing that goes wrong there decides a trial's fate."""

    def log(self, row: TrackedRow) -> None:
        """Log the next row of the history."""

    def summarize(self, values: Json) -> None:
        """Say what the trial came to."""


class Loggers:
    """Several as one."""

    def __init__(self, loggers: Sequence[Logger]) -> None:
        self._loggers = loggers

    def log(self, row: TrackedRow) -> None:
        """Log the next row of the history."""
        for logger in self._loggers:
            logger.log(row)

    def summarize(self, values: Json) -> None:
        """Say what the trial came to."""
        for logger in self._loggers:
            logger.summarize(values)


@contextmanager
def loggers(
    spec: TrialSpec,
    *,
    study: str,
    study_id: str | None,
    protocol: Json,
    directory: Path,
    mode: Mode,
    event_files: bool,
    history: Sequence[TrackedRow] = (),
) -> Iterator[Loggers]:
    """Where a trial is logged, for the process that runs the trial; closed on leaving.

    event_files: whether to write one for TensorBoard. The others as of `tracker`.
    """
    with ExitStack() as stack:
        run = tracker(
            spec,
            study=study,
            study_id=study_id,
            protocol=protocol,
            directory=directory,
            mode=mode,
            history=history,
        )
        every: list[Logger] = [stack.enter_context(run)]
        if event_files:
            every.append(stack.enter_context(event_file(spec, directory, history)))
        yield Loggers(every)

"""Weights & Biases: one run per trial of a study, however often it is interrupted.

The ledger is the truth and W&B a view of it, so nothing that goes wrong here decides a trial's
fate: it costs one line of warning, and the trial goes on unlogged.

A row of the trial's history is logged under its row number as W&B's step. So a resumed run can send
the rows that its predecessor lost, and skip those that the server has: `starting_step` counts them.
(W&B's own numbering would append a repeated epoch as a new row. `run.step` is 0 after a resume,
whatever the server has.) Curves are drawn over `epoch`, a key of each row, never over the step.

A server that does not answer is waited for once, and asked again ten minutes later; what runs until
then goes offline.

Offline there is nobody to ask. Then a resumed run logs its whole history again, and once it is
complete the predecessors' files are removed: `wandb sync` sends all rows of every file it finds,
and shifts the steps of those that overlap.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.documents import Json
from pipelines.tracking.environment import about_the_server_only
from pipelines.tracking.mode import Mode
from pipelines.tracking.rows import Histogram, TrackedRow
from pipelines.tracking.server import server
from pipelines.trial_documents import TrialSpec

if TYPE_CHECKING:  # a trial that is not logged neither needs it nor waits for it
    import wandb

PROJECT = "untuned"
INIT_TIMEOUT = 20.0  # seconds until a trial goes offline because the server does not answer
FINISH_TIMEOUT = 60.0  # seconds that a trial waits for its last rows to arrive

logger = logging.getLogger(__name__)


@contextmanager
def tracker(
    spec: TrialSpec,
    *,
    study: str,
    study_id: str | None,
    protocol: Json,
    directory: Path,
    mode: Mode,
    history: Iterable[TrackedRow] = (),
) -> Iterator[Tracker]:
    """A trial's W&B run, for the process that runs the trial; finished on leaving, come what may.

    study: its name, by which W&B groups. study_id: with the spec's key, the run's id. protocol:
    shown beside the spec. directory: files go to its folder wandb. history: rows of the checkpoint
    that the trial resumes from.

    The run fails if the block is left by an exception. SIGTERM leaves it so too, as
    SystemExit(143), unless the program handles that signal itself: the client needs a moment to
    write down what it has, and plain SIGTERM loses as much as `kill -9` does.
    """
    tracked = Tracker(spec["key"], run_id(spec["key"], study_id))
    exit_code = 1
    with _sigterm_raises():
        try:
            if mode != "disabled":
                tracked.start(mode, directory, _description(spec, study, protocol))
            for row in history:
                tracked.log(row)
            yield tracked
            exit_code = 0
        finally:
            tracked.finish(exit_code)


class Tracker:
    """One trial's run; if it cannot be logged, its rows go nowhere.

    `complete`: nothing that was logged has been lost, or kept back because the server was away.
    """

    def __init__(self, key: str, run_id: str) -> None:
        self.key, self.run_id = key, run_id
        self.complete = True
        self._run: wandb.Run | None = None
        self._rows = 0  # of the history, logged or skipped: the next row's step
        self._broken = False  # and said so: one warning is enough

    def start(self, mode: Mode, directory: Path, description: Json) -> None:
        """Open the run; offline if the server cannot be reached."""
        import wandb

        try:
            directory.mkdir(parents=True, exist_ok=True)
            if mode == "online" and server.is_away():
                self.complete = False
                mode = "offline"
            try:
                self._run = _init(self.run_id, mode, directory, description)
            except Exception as error:
                if mode != "online":
                    raise
                # Or else the client says that the run's id is in use.
                wandb.teardown()
                self._run = _init(self.run_id, "offline", directory, description)
                server.was_missed()
                self._warn("the server was not reached: it, and what follows, goes offline", error)
        except Exception as error:
            self._give_up(error)

    def log(self, row: TrackedRow) -> None:
        """Log the next row of the history."""
        step, self._rows = self._rows, self._rows + 1

        def send(run: wandb.Run) -> None:
            # The server has the rows before starting_step, and would warn of each that came again.
            if step >= run.starting_step:
                run.log(_values(row), step=step, commit=True)

        self._call(send)

    def summarize(self, values: Json) -> None:
        """Set what tables of runs show, beside the last row."""
        self._call(lambda run: run.summary.update(values))

    def finish(self, exit_code: int) -> None:
        """Write down, or send, all there is, and close the run."""
        run, self._run = self._run, None
        if run is None:
            return
        try:
            run.finish(exit_code=exit_code)
            if run.offline and exit_code == 0 and not self._broken:
                self._remove_predecessors(Path(run.settings.sync_dir))
        except Exception as error:
            if not run.offline:  # it has been waited for
                server.was_missed()
            self._give_up(error)

    def _remove_predecessors(self, current: Path) -> None:
        import wandb

        runs = {f.parent for f in current.parent.glob(f"offline-run-*/run-{self.run_id}.wandb")}
        if predecessors := runs - {current}:
            # Returns when the last row is on disk; `finish` may return before, and then a crash
            # would leave neither the old files nor the whole of the new one.
            wandb.teardown()
            for directory in predecessors:
                shutil.rmtree(directory)

    def _call(self, action: Callable[[wandb.Run], object]) -> None:
        if self._run is not None and not self._broken:
            try:
                action(self._run)
            except Exception as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if not self._broken:
            self._broken = True
            self._warn("it is logged no further", error)

    def _warn(self, consequence: str, error: Exception) -> None:
        self.complete = False
        reason = " ".join(str(error).split())
        kind = type(error).__name__
        logger.warning("W&B, trial %s: %s (%s: %s)", self.key, consequence, kind, reason)


def client_settings() -> wandb.Settings:
    """Quiet, without files of the machine and the code, and quick to write down what it has."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        sagemaker_disable=True,  # it would name all trials of a job alike
        init_timeout=INIT_TIMEOUT,
        finish_timeout=FINISH_TIMEOUT,  # by default a run waits for a lost server for ever
        finish_timeout_raises=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_disable_stats=True,
        x_save_requirements=False,
        # In seconds, and whole ones: 0.1 would be cut to 0, which means the default. By that a
        # killed trial loses its last 15 s to the server, and on disk what fills no block of 32 KiB.
        x_transaction_log_flush_interval=1,
        x_file_stream_transmit_interval=1,
    )


def project_name() -> str:
    """Where runs go: as `WANDB_PROJECT` says."""
    return os.environ.get("WANDB_PROJECT", PROJECT)


def run_id(name: str, study_id: str | None) -> str:
    """The id of a study's run: two studies of one protocol have trials of the same keys."""
    return name if study_id is None else f"{name}-{study_id}"


def _init(run_id: str, mode: Mode, directory: Path, description: Json) -> wandb.Run:
    import wandb

    with about_the_server_only():
        run = wandb.init(
            **description,
            id=run_id,
            project=project_name(),
            dir=directory,
            mode=mode,
            resume="allow",  # the run of this id goes on, if there is one
            reinit="create_new",  # a worker runs trial after trial; the one before is not this one
            settings=client_settings(),
        )
    # Else W&B draws over its step, and leaves holes where a row was lost.
    run.define_metric("epoch")
    run.define_metric("*", step_metric="epoch")
    return run


def _description(spec: TrialSpec, study: str, protocol: Json) -> Json:
    """What W&B can filter and group runs by."""
    tags = [spec["arm"], spec["role"], f"repeat {spec['repeat']}"]
    return {
        "name": f"{spec['arm']}/{spec['repeat']}.{spec['index']}",
        "group": study,
        "job_type": spec["role"],
        "tags": tags,
        "config": {"study": study, "protocol": protocol, **spec},
    }


def _values(row: TrackedRow) -> Json:
    """A row in the client's own types."""
    return {name: _value(value) for name, value in row.items() if value is not None}


def _value(value: object) -> object:
    if not isinstance(value, Histogram):
        return value
    import wandb

    return wandb.Histogram(np_histogram=(np.asarray(value.heights), np.asarray(value.edges)))


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Turn SIGTERM into SystemExit where it would end the process on the spot."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit_on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit_on_signal(number: int, _: object) -> None:
    raise SystemExit(128 + number)

"""Weights & Biases: one run per trial, under the trial's key, however often it is interrupted.

The ledger is the truth and W&B a view of it, so nothing that goes wrong here decides a trial's
fate: it costs one line of warning, and the trial goes on unlogged.

A row of the trial's history is logged under its row number as W&B's step. So a resumed run can send
the rows that its predecessor lost, and skip those that the server has: `starting_step` counts them.
Offline there is nobody to ask. Then a resumed run logs its whole history again, and once it is
complete the predecessors' files are removed: `wandb sync` would upload their rows twice.
"""

import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb

from pipelines.tracking.mode import Mode
from pipelines.trial_documents import TrialSpec

Row = dict[str, Any]

PROJECT = "untuned"
INIT_TIMEOUT = 20.0  # seconds until a trial goes offline because the server does not answer
FINISH_TIMEOUT = 60.0  # seconds that a trial waits for its last rows to arrive

logger = logging.getLogger(__name__)


@contextmanager
def tracker(
    spec: TrialSpec,
    *,
    study: str,
    protocol: dict[str, Any],
    directory: Path,
    mode: Mode,
    history: Iterable[Row] = (),
) -> Iterator["Tracker"]:
    """A trial's W&B run, for the process that runs the trial; finished on leaving, come what may.

    `history` holds the rows of the checkpoint that the trial resumes from. Files go to
    `directory`/wandb. The run fails if the block is left by an exception. SIGTERM leaves it so
    too, as SystemExit(143), unless the program handles that signal itself: the client needs a
    moment to write down what it has.
    """
    tracked = Tracker(spec["key"])
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

    def __init__(self, key: str):
        self.key = key
        self.complete = True
        self._run: wandb.Run | None = None
        self._rows = 0
        self._broken = False

    def start(self, mode: Mode, directory: Path, description: Row) -> None:
        """Open the run; offline if the server cannot be reached."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            try:
                self._run = _init(mode, directory, description)
            except Exception as error:
                if mode != "online":
                    raise
                wandb.teardown()  # or else the client says that the run's id is in use
                self._run = _init("offline", directory, description)
                self._warn("the server was not reached, so it is logged offline", error)
        except Exception as error:
            self._give_up(error)

    def log(self, row: Row) -> None:
        """Log the next row: numbers by name, among them `epoch`; histograms as (counts, edges)."""
        number, self._rows = self._rows, self._rows + 1
        self._call(
            lambda run: (
                number < run.starting_step or run.log(_values(row), step=number, commit=True)
            )
        )

    def summarize(self, values: Row) -> None:
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
            self._give_up(error)

    def _remove_predecessors(self, current: Path) -> None:
        runs = {f.parent for f in current.parent.glob(f"offline-run-*/run-{self.key}.wandb")}
        if predecessors := runs - {current}:
            wandb.teardown()  # returns when the last row is on disk; `finish` may do so before
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
    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        init_timeout=INIT_TIMEOUT,
        finish_timeout=FINISH_TIMEOUT,
        finish_timeout_raises=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_disable_stats=True,
        x_save_requirements=False,
        # In seconds, and whole ones. By default a killed trial loses its last 15 s.
        x_transaction_log_flush_interval=1,
        x_file_stream_transmit_interval=1,
    )


def project_name() -> str:
    """Where runs go: as `WANDB_PROJECT` says."""
    return os.environ.get("WANDB_PROJECT", PROJECT)


def _init(mode: Mode, directory: Path, description: Row) -> wandb.Run:
    run = wandb.init(
        **description,
        project=project_name(),
        dir=directory,
        mode=mode,
        resume="allow",
        reinit="create_new",
        settings=client_settings(),
    )
    run.define_metric("epoch")
    run.define_metric("*", step_metric="epoch")
    return run


def _description(spec: TrialSpec, study: str, protocol: dict[str, Any]) -> Row:
    """What W&B can filter and group runs by."""
    tags = [spec["arm"], spec["role"], f"repeat {spec['repeat']}"]
    return {
        "id": spec["key"],
        "name": f"{spec['arm']}/{spec['repeat']}.{spec['index']}",
        "group": study,
        "job_type": spec["role"],
        "tags": tags,
        "config": {"study": study, "protocol": protocol, **spec},
    }


def _values(row: Row) -> Row:
    def shown(value: Any) -> Any:
        return wandb.Histogram(np_histogram=value) if isinstance(value, tuple) else value

    return {name: shown(value) for name, value in row.items() if value is not None}


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

"""The command `launch`: check everything, then run what is missing of a study, then report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from pipelines.commands.checked_launch import Launch, storage_of, tracking_folder
from pipelines.commands.options import Options
from pipelines.commands.outcome import outcome
from pipelines.commands.printing import print_line
from pipelines.commands.report import show_report
from pipelines.commands.which_study import study_named
from pipelines.errors import Interrupted, UserError
from pipelines.execution.signals import StopSignals
from pipelines.ledger.storage import STORAGE_ERRORS, reason_of
from pipelines.study.study_file import Study
from pipelines.tracking.event_file import FOLDER
from pipelines.tracking.mode import Mode

SHORT = {"trials": 1, "repeats": 1, "seeds": 1}  # the request of a rehearsal


def run_launch(
    name: str, request: dict[str, Any], options: Options, quick: bool, console: Console
) -> int:
    """Launch a study by name or file, and report; the exit status, 3 where an arm came to nothing.

    request: entries of the study's request that the command line overrides. quick: a rehearsal.
    """
    study, place = study_named(name, request)
    if quick:
        study, place = rehearsal(study, request), None
    patience = options.patience(terminal=console.is_terminal)
    options = replace(options, storage=options.storage or place, wait_for_lease=patience)
    try:
        launched = launch(study, options, console)
    except Interrupted as interrupted:
        print_line(
            f"Stopped by {interrupted}; what was done is kept in {storage_of(study, options)}. "
            "The same command goes on from there.",
            console,
        )
        return interrupted.status
    status = outcome(launched.storage, console)
    if options.log == "tensorboard":
        folder = launched.tracking_dir / FOLDER
        print_line(f"TensorBoard: tensorboard --logdir {folder}", console)
    offline = [launched.tracking_dir] if launched.tracking == "offline" else []
    show_report([launched.storage], console, offline)
    return status


def rehearsal(study: Study, asked: dict[str, Any]) -> Study:
    """The same study, short: to see that all of it runs, not to learn from it.

    asked: entries of the request that stay.
    """
    schedule = study.protocol.schedule
    length = {"epochs": max(2, schedule.epochs // 20)}
    if schedule.steps is not None:
        length = {"steps": max(2, schedule.steps // 20)}
    short = schedule.model_copy(update=length)
    return study.model_copy(
        update={
            "name": f"{study.name}-quick",
            "protocol": study.protocol.model_copy(update={"schedule": short}),
            "request": study.request.model_copy(update=SHORT | asked),
        }
    )


class Launched(NamedTuple):
    """A launch that ended: the study's storage, and how and where its trials were logged to W&B."""

    storage: str
    tracking: Mode
    tracking_dir: Path


def launch(study: Study, options: Options, console: Console) -> Launched:
    """Run what is missing of a study.

    Everything a user may have got wrong is told before anything is written.

    Raises:
        UserError: the study cannot run here, its storage holds another one, or the storage failed.
        Interrupted: it was asked to stop; the same command goes on.
    """
    storage = storage_of(study, options)
    with StopSignals() as signals:
        try:
            checked = Launch.of(study, options)
            finished = checked.run(console, signals)
        except STORAGE_ERRORS as error:
            raise UserError(
                f"the launch failed ({reason_of(error)}): what had finished is kept in "
                f"{storage!r}, the same command goes on from there"
            ) from error
        if signals.received is not None and not finished:
            raise Interrupted(signals.received)
    tracking_dir = tracking_folder(study, storage)
    return Launched(storage, checked.worker_config.tracking, tracking_dir)

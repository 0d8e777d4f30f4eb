"""The command `prune`: deletes what a study can do without."""

from __future__ import annotations

from collections import defaultdict

from rich.console import Console

from pipelines.analysis.selection import best_run, final_runs
from pipelines.commands.printing import format_size, print_line
from pipelines.errors import UserError
from pipelines.ledger.documents import write_document
from pipelines.ledger.files import File
from pipelines.ledger.layout import CHECKPOINT, MODEL_FILES, PRUNED
from pipelines.ledger.record import TrialRecord
from pipelines.report.study_state import StudyState, load_study_state


def run_prune(storage: str, models: bool, console: Console) -> None:
    """Delete spare checkpoints, and with `models` all but the best run's models of each arm."""
    count, size = prune(storage, models)
    print_line(f"{count} files deleted, {format_size(size)}", console)


def prune(storage: str, models: bool) -> tuple[int, int]:
    """Delete all but the newest checkpoint of each unfinished trial, and all of finished ones.

    With `models`, also the models of final runs, but for the run with the best val of each arm.
    Returns how many files went, and their bytes.

    Raises:
        UserError: a launch is running.
    """
    ledger, study_state = load_study_state(storage)
    if (holder := ledger.driver()) is not None:
        raise UserError(
            f"storage {storage!r}: host {holder.host!r}, pid {holder.pid} is running this study; "
            "stop it first"
        )
    kept = _best_runs(study_state) if models else set()
    files: dict[str, list[File]] = defaultdict(list)
    for file in ledger.storage.files("trials"):
        files[file.path.split("/")[1]].append(file)
    spare = [
        file
        for key, trial in study_state.trials.items()
        for file in _spare(trial, files[key], models and key not in kept)
    ]
    # Before the models go: one that is missed without this counts as damage.
    for folder in {f.path.rpartition("/")[0] for f in spare if f.path.endswith(MODEL_FILES)}:
        write_document(ledger.storage, f"{folder}/{PRUNED}", {"pruned": list(MODEL_FILES)})
    for file in spare:
        ledger.storage.delete(file.path)
    return len(spare), sum(file.size for file in spare)


def _best_runs(study_state: StudyState) -> set[str]:
    """Of each arm the run that `best` names; all final ones where val chooses none."""
    keys: set[str] = set()
    for arm in study_state.study.arms:
        records = [r for r in study_state.records if r.arm == arm]
        best = best_run(records)
        keys |= {run.key for run in ([best] if best else final_runs(records))}
    return keys


def _spare(trial: TrialRecord, files: list[File], models: bool) -> list[File]:
    """Files of a trial that nobody will ask for."""
    checkpoints = {f: int(m["step"]) for f in files if (m := CHECKPOINT.search(f"/{f.path}"))}
    newest = max(checkpoints, key=lambda f: checkpoints[f], default=None)
    needed = newest if trial.result is None else None
    spare = [file for file in checkpoints if file != needed]
    if models:
        spare += [file for file in files if file.path.rpartition("/")[2] in MODEL_FILES]
    return spare

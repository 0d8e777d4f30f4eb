"""A study as an Optuna storage: one Optuna study per arm and repeat, for the tools that read such.

Everything in it is copied from the ledger, which stays the truth; nothing is read back.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from math import isfinite
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.words import aim_name
from pipelines.documents import Json
from pipelines.errors import UserError
from pipelines.ledger.record import TrialRecord
from pipelines.metrics import METRICS
from pipelines.planning.assignments import Search
from pipelines.planning.resume import score_of
from pipelines.planning.second_aim import Values, directions, second_of, values_of
from pipelines.planning.specs import Ended
from pipelines.planning.suggestions import space_digest
from pipelines.planning.trial_specs import GIVEN
from pipelines.report.study_state import StudyState, load_study_state
from pipelines.study.arms import Arm
from pipelines.study.protocol import Protocol
from pipelines.trial_documents import HistoryRow, Role

DEFAULT_FILE = "optuna.db"  # beside the study's own files
SQLITE, JOURNAL = (".db", ".sqlite", ".sqlite3"), (".journal", ".log")
STATES = {
    "planned": TrialState.WAITING,
    "started": TrialState.RUNNING,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "completed": TrialState.COMPLETE,
    "diverged": TrialState.COMPLETE,  # a result: the worst score
}


def write_optuna_storage(location: str, file: Path | None = None) -> tuple[Path, int]:
    """Write the study in a storage to an Optuna storage.

    file: SQLite or a journal, by its suffix; it must not exist. By default `optuna.db` in the
        study's directory, which is written anew each time.

    Returns:
        The file, and how many studies are in it.

    Raises:
        UserError: there is no study; or no such file can be written.
    """
    path = _checked(location, file)
    ledger, state = load_study_state(location)
    searches = _searches(state)
    shown = [trial for trials in searches.values() for trial in trials.values()]
    histories = ledger.histories(t for t in shown if t.result is not None or t.stopped)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        with optuna_storage(draft) as storage:
            for search, trials in searches.items():
                _write_search(storage, state, search, trials, histories)
        partial = path.with_name(f".{path.name}.part")  # whoever has the old one open keeps it
        shutil.copyfile(draft, partial)
        os.replace(partial, path)
    return path, len(searches)


def _checked(location: str, file: Path | None) -> Path:
    """Where to write."""
    if file is None:
        if "://" in location:
            raise UserError(f"{location!r} is no directory: give a FILE to write to")
        return Path(location) / DEFAULT_FILE
    if file.suffix not in SQLITE + JOURNAL:
        raise UserError(
            f"FILE = {str(file)!r}: its name must end in {', '.join(SQLITE)} (SQLite), or in "
            f"{' or '.join(JOURNAL)} (a journal)"
        )
    if file.exists():
        raise UserError(f"FILE = {str(file)!r}: it exists; give a new name")
    if not file.parent.is_dir():
        raise UserError(f"FILE = {str(file)!r}: there is no directory {str(file.parent)!r}")
    return file


@contextmanager
def optuna_storage(path: Path) -> Iterator[BaseStorage]:
    """A storage in a file, by its suffix; let go on leaving."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if path.suffix in JOURNAL:
        yield JournalStorage(JournalFileBackend(str(path)))
        return
    storage = RDBStorage(f"sqlite:///{path}")
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _searches(state: StudyState) -> dict[Search, dict[int, TrialRecord]]:
    """What is shown of every arm and repeat, by index: its search, or without one its final runs.

    In the order of the plan. An arm that trains on val has no score to show, and is left out.
    """
    arms, found = state.planner.arms, defaultdict[Search, dict[int, TrialRecord]](dict)
    for assignment, spec in state.planner.assigned.items():  # all that has ended, in its roles
        trial = state.trials.get(spec["key"])
        unscored = trial is not None and trial.result is not None and trial.result["val"] is None
        wanted = assignment.role == _role(arms[assignment.arm])
        if trial and not unscored and wanted and state.planner.shows(assignment.search):
            found[assignment.search][assignment.index] = trial
    for trial in state.trials.values():
        spec = trial.spec
        arm = arms.get(spec["arm"])
        wanted = arm and spec["role"] == _role(arm) and spec["space"] in (space_digest(arm), GIVEN)
        if wanted and trial.state in ("planned", "started", "stopped"):
            search = _shown(state, spec["scenario"], spec["arm"], spec["repeat"])
            if state.planner.common.chosen(search) == _common(spec["config"], arms[search.arm]):
                found[search].setdefault(spec["index"], trial)
    repeats = range(state.study.request.repeats)
    places = product(state.planner.scenarios, repeats, arms)
    order = [_shown(state, scenario, arm, repeat) for scenario, repeat, arm in places]
    return {search: dict(sorted(found[search].items())) for search in order if search in found}


def _shown(state: StudyState, scenario: str, arm: str, repeat: int) -> Search:
    """Where common knobs are chosen, the search on top of these."""
    return Search(scenario, arm, repeat, state.planner.common.moves(scenario, arm))


def _common(config: Json, arm: Arm) -> Json:
    """What of a configuration is not the arm's own: values of common knobs."""
    return {address: value for address, value in config.items() if address not in arm.space}


def _role(arm: Arm) -> Role:
    return "search" if arm.tuned else "final"


def _write_search(
    storage: BaseStorage,
    state: StudyState,
    search: Search,
    trials: Mapping[int, TrialRecord],
    histories: Mapping[str, list[HistoryRow]],
) -> None:
    arm, protocol = state.planner.arms[search.arm], state.study.protocols[search.scenario]
    second_aim = protocol.second_aim if arm.tuned else None
    study = _new_study(storage, state.study.name, search, protocol.metric, second_aim)
    described = {
        "study": state.study.name,
        "protocol": state.document["hash"],
        "scenario": search.scenario,
        "arm": search.arm,
        "kind": arm.kind,
        "about": arm.about,
        "repeat": search.repeat,
        "metric": protocol.metric,
        "score": f"{METRICS[protocol.metric].label} on val, higher is better",
    }
    for name, value in described.items():
        study.set_user_attr(name, value)
    records = [r for r in state.records_in[search.scenario] if r.arm == search.arm]
    retrained = ArmRuns(search.arm, records, protocol.epoch, protocol.metric).retrained
    values = _values(trials, histories, protocol, second_aim)
    for index, trial in trials.items():
        attributes = {"role": _role(arm), "index": index} | _attributes(trial)
        attributes |= _common(trial.spec["config"], arm)
        if arm.tuned and (search.repeat, index) in retrained:
            attributes["test_retrained"] = float(retrained[search.repeat, index].mean())
        rows = histories.get(trial.key, ())
        study.add_trial(_optuna_trial(trial, arm, protocol, rows, attributes, values[index]))


def _new_study(
    storage: BaseStorage, name: str, search: Search, metric: str, second_aim: str | None
) -> optuna.Study:
    """An empty study; name: of ours. metric: of val. second_aim: what is compared beside it."""
    names = [name, search.scenario, search.arm, f"repeat {search.repeat}"]
    study = optuna.create_study(
        storage=storage,
        study_name=" / ".join(filter(None, names)),
        directions=directions(second_aim),
    )
    if second_aim:
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            study.set_metric_names([f"val {METRICS[metric].label}", aim_name(second_aim)])
    return study


def _values(
    trials: Mapping[int, TrialRecord],
    histories: Mapping[str, list[HistoryRow]],
    protocol: Protocol,
    second_aim: str | None,
) -> dict[int, Values | None]:
    """What the trials of a search are compared by, as its sampler sees it."""
    ended = {
        index: Ended(
            trial.spec["config"],
            score_of(trial, protocol),
            second_of(trial, histories.get(trial.key, ()), protocol, second_aim),
        )
        for index, trial in trials.items()
    }
    return values_of(ended, second_aim)


def _attributes(trial: TrialRecord) -> Json:
    """User attributes of a trial, whatever it is for."""
    spec, result = trial.spec, trial.result
    attributes: Json = {"key": trial.key, "status": trial.state}
    attributes |= {"data_seed": spec["data_seed"], "run_seed": spec["run_seed"]}
    if trial.stopped is not None:
        attributes |= {"stopped_epoch": trial.stopped["epoch"], "stopped_by": trial.stopped["why"]}
    if result is not None:
        attributes |= {"passes": result["passes"], "seconds": result["cost"]["seconds"]}
        signs = result.get("collapse", {})
        attributes |= {f"collapse/{sign}": epoch for sign, epoch in signs.items()}
    return attributes


def _optuna_trial(
    trial: TrialRecord,
    arm: Arm,
    protocol: Protocol,
    rows: Sequence[HistoryRow],
    attributes: Json,
    values: Values | None,
) -> FrozenTrial:
    """One trial with its val per epoch; rows: of its history. values: None before its end."""
    score = METRICS[protocol.metric].score
    name = f"val/{protocol.metric}"
    vals = {row["epoch"]: score(row[name]) for row in rows if row.get(name) is not None}
    return create_trial(
        state=STATES[trial.state],
        values=values,
        params={name: trial.spec["config"][name] for name in arm.space},
        distributions=arm.space,
        user_attrs=attributes,
        intermediate_values={epoch: val for epoch, val in vals.items() if isfinite(val)},
    )

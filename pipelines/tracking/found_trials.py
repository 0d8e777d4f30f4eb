"""Finished trials that other tools keep: Optuna, Ray Tune, and tables, such as W&B exports.

Nothing says under which protocol, on which examples and by which code they ran, so they cannot
stand among a study's own. What they found can: as configurations that its searches begin with.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import optuna
import pandas as pd
from optuna.study import StudyDirection
from optuna.trial import TrialState

from pipelines.documents import Json, flat
from pipelines.errors import UserError, one_line
from pipelines.tracking.optuna_storage import JOURNAL, SQLITE, optuna_storage

#: Before a hyperparameter's name, in tables that Optuna and Ray Tune write.
PREFIXES = ("params_", "config/")
PARAMETERS, RESULTS, FAILED = "params.json", "result.json", "error.txt"  # Ray Tune's, of a trial


class Found(NamedTuple):
    """One trial: all that it was configured with, and a score, of which higher is better."""

    config: Json
    score: float


class FoundSearch(NamedTuple):
    """Trials that were compared with each other; arm: whose, where that is written down."""

    arm: str | None
    trials: list[Found]


def found_searches(source: Path, metric: str | None, lowest: bool) -> list[FoundSearch]:
    """What a file or a folder holds: of Optuna each study is a search, else all is one.

    metric: the name of the score, or of one of an Optuna study's several objectives. lowest: that
    which is best, in what is not Optuna's.

    Raises:
        UserError: it cannot be read, or has no such score.
    """
    try:
        if source.suffix in SQLITE + JOURNAL:
            return list(_of_optuna(source, metric, lowest))
        name = _checked(metric, source)
        trials = _of_tune(source, name) if source.is_dir() else _of_table(source, name)
        sign = -1 if lowest else 1
        found = [
            Found(config, sign * score)
            for config, score in trials
            if isinstance(score, int | float) and isfinite(score)
        ]
    except UserError:
        raise
    except Exception as error:  # a file of any kind
        raise UserError(f"--from {str(source)!r} cannot be read: {one_line(error)}") from None
    if not found:
        raise UserError(f"--from {str(source)!r}: no trial in it has a number for {name!r}")
    return [FoundSearch(None, found)]


def _checked(metric: str | None, source: Path) -> str:
    if metric is None:
        raise UserError(f"--from {str(source)!r}: --metric must say which score is compared")
    if "test" in metric.lower():
        raise UserError(
            f"--metric {metric!r}: labels of a test set choose nothing; name one on val"
        )
    return metric


def _of_optuna(source: Path, metric: str | None, lowest: bool) -> Iterator[FoundSearch]:
    """Completed trials by study; from a copy, since opening a storage may write to it."""
    if lowest:
        raise UserError("--lowest: an Optuna study says itself what is best")
    if not source.is_file():
        raise UserError(f"--from {str(source)!r}: there is no such file")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(source, folder))
        with optuna_storage(copy) as storage:
            for name in optuna.get_all_study_names(storage):
                study = optuna.load_study(study_name=name, storage=storage)
                objective = _objective(study, metric)
                sign = -1 if study.directions[objective] == StudyDirection.MINIMIZE else 1
                ended = study.get_trials(states=[TrialState.COMPLETE])
                trials = [Found(dict(t.params), sign * t.values[objective]) for t in ended]
                yield FoundSearch(study.user_attrs.get("arm"), trials)


def _objective(study: optuna.Study, metric: str | None) -> int:
    """Which of its objectives counts: val, the first one, of what `untuned optuna` wrote."""
    several = len(study.directions) > 1
    if metric is None and (not several or "arm" in study.user_attrs):
        return 0
    if not several:
        raise UserError("--metric: an Optuna study says itself by what it compares")
    names = study.metric_names or [f"values_{i}" for i in range(len(study.directions))]
    if metric not in names:
        raise UserError(
            f"--metric must name one of the objectives of the Optuna study {study.study_name!r}: "
            f"{', '.join(names)}"
        )
    return names.index(metric)


def _of_tune(folder: Path, metric: str) -> Iterator[tuple[Json, object]]:
    """The last result of each trial of an experiment that did not fail."""
    for parameters in sorted(folder.rglob(PARAMETERS)):
        results = parameters.with_name(RESULTS)
        if not results.is_file() or parameters.with_name(FAILED).exists():
            continue
        lines = results.read_text().splitlines()
        if lines:
            yield flat(json.loads(parameters.read_text())), flat(json.loads(lines[-1])).get(metric)


def _of_table(file: Path, metric: str) -> Iterable[tuple[Json, object]]:
    table = pd.read_csv(file)
    if metric not in table:
        raise UserError(
            f"--metric {metric!r}: {str(file)!r} has no such column; it has {', '.join(table)}"
        )
    names = {column: _without_prefix(column) for column in table}
    for row in table.to_dict("records"):
        yield {names[str(c)]: value for c, value in row.items() if not pd.isna(value)}, row[metric]


def _without_prefix(column: str) -> str:
    for prefix in PREFIXES:
        column = column.removeprefix(prefix)
    return column

"""Studies from Python: load one, launch one, open one; results as objects and as pandas frames."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from pandas import DataFrame
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from methods.objective import Objective
from pipelines import own_modules
from pipelines.analysis.record import Record
from pipelines.analysis.results_schema import Results
from pipelines.commands.launch import launch as run_study
from pipelines.commands.options import Options
from pipelines.commands.which_study import storage_named, study_named
from pipelines.documents import Json, flat
from pipelines.errors import UserError
from pipelines.models.classifier import load_objective
from pipelines.prediction.predictor import Predictor, load_predictor
from pipelines.report.study_state import load_study_state
from pipelines.study.study_file import Study, parse_study, with_absolute_paths
from pipelines.study.validation import describe
from pipelines.trial_documents import MODEL


def load_study(source: str | Path | Mapping[str, Any], request: Json | None = None) -> Study:
    """A validated study.

    Args:
        source: a study's name, its file or its directory, or what a file would hold (with a
            `name`).
        request: overrides entries of its request: {"arms": ["ce", "l2rw"], "trials": 5}.

    Raises:
        UserError: there is no such study, or a key or value is not allowed.
    """
    if not isinstance(source, Mapping):
        return study_named(str(source), request)[0]
    own_modules.search([Path.cwd()])  # as a study file's modules are found beside it
    values = dict(source)
    values["request"] = dict(values.get("request", {})) | (request or {})
    return with_absolute_paths(parse_study(values, "study"), Path.cwd())


def launch(
    study: str | Path | Mapping[str, Any] | Study, *, quiet: bool = False, **options: Any
) -> StudyResults:
    """Run what is missing of a study, as `untuned launch` does; its results.

    Args:
        study: what `load_study` takes, or what it gave.
        quiet: print nothing.
        options: those of the command line (`pipelines.commands.options.Options`): storage, executor
            ("ray", "inline"), wandb ("online", "offline", "disabled"), concurrent, address, ...

    Raises:
        UserError: the study or an option is wrong, or the study cannot run here.
        Interrupted: a signal (Ctrl-C) asked it to stop; the same call goes on.
    """
    if isinstance(study, str | Path):
        study, storage = study_named(str(study))
        options = {"storage": storage} | options
    elif not isinstance(study, Study):
        study = load_study(study)
    console = Console(file=io.StringIO() if quiet else None)
    return open_study(run_study(study, _options(options), console).storage)


def _options(given: Mapping[str, Any]) -> Options:
    """Options by name; numbers and paths may stand for the text of the command line."""
    known = [field.name for field in fields(Options)]
    if unknown := set(given) - set(known):
        raise UserError(f"launch has no option {min(unknown)!r}; there are {', '.join(known)}")
    as_text = ("storage", "gpus_per_trial")
    plain = {n: str(v) if n in as_text and v is not None else v for n, v in given.items()}
    try:
        return TypeAdapter(Options).validate_python(plain)
    except ValidationError as error:
        raise UserError(f"launch: {describe(error)}") from None


def open_study(storage: str | Path) -> StudyResults:
    """The results of the study in a directory, or at the URL of an object store.

    A study's name or file stands for the directory that it runs in by default.

    Raises:
        UserError: there is no study.
    """
    return StudyResults(storage_named(str(storage)))


class StudyResults:
    """What a study has come to, as its ledger was when it was opened; running or not.

    `study` is its protocol and request, `summary` the content of results.json; frames have that
    file's numbers, in columns named by their addresses in it: "test.last.mean".
    """

    def __init__(self, storage: str) -> None:
        self.storage = storage
        self._ledger, self._state = load_study_state(storage)
        self.study: Study = self._state.study

    def __repr__(self) -> str:
        return f"<StudyResults {self.study.name!r} in {self.storage!r}: {len(self.records)} runs>"

    @property
    def records(self) -> list[Record]:
        """The finished runs under the study's own protocol; a trial with two roles makes two."""
        return self._state.records

    @cached_property
    def summary(self) -> Results:
        """The content of results.json; docs/results.md says what every field means."""
        return self._state.results()

    def best(self, arm: str | None = None) -> Record:
        """The final run of an arm with the highest val; by default of the arm that is best on val.

        Raises:
            UserError: no such arm is in the study, or it has no such run.
        """
        return self._state.best_run(arm)

    def trials(self) -> DataFrame:
        """A row for each finished run: scenario, arm, role, seeds, scores, cost, what was tuned.

        A trial with two roles has two rows, and one key.
        """
        return DataFrame(
            {"scenario": scenario} | flat(asdict(record))
            for scenario, records in self._state.records_in.items()
            for record in records
        )

    def arms(self, scenario: str = "") -> DataFrame:
        """A row for each arm: clean labels, cost, estimates of val and test, tunability.

        scenario: a name among `study.scenarios`; "" is the study's own protocol.
        """
        arms = self._of(scenario)["arms"]
        rows = {name: _plain(arm) for name, arm in arms.items()}
        return DataFrame.from_dict(rows, orient="index").rename_axis("arm")

    def pairs(self, scenario: str = "") -> DataFrame:
        """A row for each untuned arm against each tuned one: difference, verdict, b*."""
        return DataFrame(map(_plain, self._of(scenario)["pairs"]))

    def budget_curves(self, scenario: str = "") -> DataFrame:
        """A row for each tuned arm and budget: the test score of what such a search selects."""
        return DataFrame(
            {"arm": name, **point}
            for name, arm in self._of(scenario)["arms"].items()
            if "budget" in arm
            for point in arm["budget"]["curve"]
        )

    def history(self, key: str) -> DataFrame:
        """A row for each epoch of a trial: training loss, val metrics, what was learned."""
        trial = self._state.trials.get(key)
        histories = self._ledger.histories([trial] if trial else [])
        if key not in histories:
            raise UserError(f"storage {self.storage!r}: trial {key!r} has no history")
        return DataFrame(histories[key])

    def load_model(self, key: str) -> Predictor:
        """The network of a completed final or default trial; see `untuned.load_model`."""
        return load_predictor(self._model_file(key))

    def load_objective(self, key: str) -> Objective:
        """The objective of such a trial; see `untuned.load_objective`."""
        return load_objective(self._model_file(key))

    def _model_file(self, key: str) -> io.BytesIO:
        trial = self._state.trials.get(key)
        if trial is None or trial.result is None:
            raise UserError(f"storage {self.storage!r}: no trial {key!r} is finished")
        content = self._ledger.artifact(trial, MODEL)
        if content is None:
            raise UserError(
                f"storage {self.storage!r}: trial {key!r} has no {MODEL}, or a damaged one; models "
                "are kept of completed final and default trials"
            )
        return io.BytesIO(content)

    def _of(self, scenario: str) -> Results:
        results = {"": self.summary}
        if "scenarios" in self.summary:
            results |= self.summary["scenarios"]["scenarios"]
        if scenario not in results:
            raise UserError(f"scenario {scenario!r}: there are {', '.join(map(repr, results))}")
        return results[scenario]


def _plain(document: Mapping[str, Any]) -> Json:
    """The single values of a nested object by their dotted addresses; lists are left out."""
    return {name: value for name, value in flat(document).items() if not isinstance(value, list)}

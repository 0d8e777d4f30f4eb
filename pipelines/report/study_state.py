"""A study as its ledger has it now: what is planned, what has run, and what comes out of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from pipelines import own_modules
from pipelines.analysis.record import Record, StudyInfo
from pipelines.analysis.results_schema import Results
from pipelines.analysis.selection import best_arm, best_run, mean_vals, useful_arms
from pipelines.documents import Json
from pipelines.errors import UserError
from pipelines.kinds import is_oracle
from pipelines.ledger.damage import Damaged, damage_lines
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.record import TrialRecord
from pipelines.planning.planner import Planner
from pipelines.planning.resume import course_of, plan
from pipelines.planning.second_aim import scores_on_val
from pipelines.provenance import origin
from pipelines.report.records import record_of, stopped_record
from pipelines.report.study_info import study_info
from pipelines.study.protocol import Protocol
from pipelines.study.study_file import Study, parse_study
from pipelines.trial_documents import DataDescription, HistoryRow, TrialResult, TrialSpec

FINISHED = ("completed", "diverged", "failed")  # states of trials that have a record


@dataclass(frozen=True)
class StudyState:
    """A study as its ledger has it now.

    document: the content of study.json.
    trials: by their keys.
    planner: has given every finished trial its roles, as far as the study has come.
    damaged: files that are gone or not as they were written, and what becomes of it.
    ledger: where the histories are that `results` reads; without it nothing is known of them.
    """

    study: Study
    document: Json
    trials: dict[str, TrialRecord]
    planner: Planner
    damaged: Damaged = field(default_factory=dict)
    ledger: Ledger | None = None

    @cached_property
    def all_records_in(self) -> dict[str, list[Record]]:
        """The records of finished trials, by scenario: a trial with two roles makes two.

        They stand in the order of the plan, in whatever order the trials ended. Where common knobs
        are chosen, those under the study's own values are among them.
        """
        records: dict[str, list[Record]] = {name: [] for name in self.study.scenarios}
        protocols, stopped = self.study.protocols, self.planner.stopped
        for assignment, spec in sorted(self.planner.assigned.items(), key=lambda item: item[0]):
            trial = self.trials.get(spec["key"])
            if trial is None:
                continue
            of = assignment, protocols[assignment.scenario], self.planner.arms[assignment.arm]
            in_scenario, course = records[assignment.scenario], self.planner.courses.get(trial.key)
            if course and (rung := stopped.get(assignment)):
                in_scenario.append(stopped_record(trial, *of, (rung, course)))
            elif trial.state in FINISHED:
                in_scenario.append(record_of(trial, *of))
        return records

    @cached_property
    def records_in(self) -> dict[str, list[Record]]:
        """The records that the results are made of: under common values where some are chosen."""
        moves = self.planner.common.moves
        return {
            scenario: [r for r in records if r.common == moves(scenario, r.arm)]
            for scenario, records in self.all_records_in.items()
        }

    @property
    def records(self) -> list[Record]:
        """The records under the study's own protocol."""
        return self.records_in[""]

    @property
    def info(self) -> StudyInfo:
        """What statistics need to know of the study."""
        return study_info(self.study, self.planner)

    def results(self) -> Results:
        """The content of results.json; with the scenarios' own, where the study has axes."""
        from pipelines.analysis.headline import (
            headline,  # scipy and sklearn: `status` starts without them
        )
        from pipelines.analysis.results import summarise
        from pipelines.analysis.scenarios import summarise_scenarios
        from pipelines.report.label_noise import label_noise

        records_in = self.records_with_histories
        plain = [r for r in self.all_records_in[""] if not r.common]
        common = plain if self.study.request.common else None
        results = summarise(records_in[""], self.info, self.provenance(), common)
        if estimated := label_noise(self.described, self.ledger):
            results["label_noise"] = estimated
        if len(records_in) == 1:
            return results
        results["scenarios"] = summarise_scenarios(records_in, self.info)
        results["headline"] = headline(results)
        return results

    @cached_property
    def records_with_histories(self) -> dict[str, list[Record]]:
        """The records, those of searches with how the trials went: their histories are read."""
        protocols, arms = self.study.protocols, self.planner.arms
        every = [r for records in self.records_in.values() for r in records]
        searched = {r.key for r in every if r.role == "search" and arms[r.arm].tuned}
        trials = [self.trials[key] for key in sorted(searched)]
        histories = self.ledger.histories(trials) if self.ledger else {}
        return {
            scenario: [
                self._with_history(r, rows, protocols[scenario])
                if r.role == "search" and r.course is None and (rows := histories.get(r.key))
                else r
                for r in records
            ]
            for scenario, records in self.records_in.items()
        }

    def _with_history(
        self, record: Record, rows: Sequence[HistoryRow], protocol: Protocol
    ) -> Record:
        trial = self.trials[record.key]
        scores = scores_on_val(trial, rows, protocol)
        return replace(record, course=course_of(trial, rows, protocol), scores_on_val=scores)

    def best_arm(self) -> str | None:
        """The arm with the highest mean val; one of which all runs collapsed only if all have.

        Never an oracle, which nobody has.
        """
        rivals = [name for name, arm in self.study.arms.items() if not is_oracle(arm.kind)]
        return best_arm(mean_vals(self.records, useful_arms(self.records, rivals)))

    @property
    def unselected(self) -> str:
        """The end of a message: nothing will ever be selected, where the study has no val."""
        return "" if self.study.protocol.splits.val else "; splits.val = 0 has no examples for one"

    def best_run(self, arm: str | None = None) -> Record:
        """The completed final run of an arm with the highest val; by default of the best arm.

        One that has collapsed only where all have.

        Raises:
            UserError: no such arm is in the study, or it has no such run.
        """
        arms = self.study.arms
        name = self.best_arm() if arm is None else arm
        if name is None:
            raise UserError(f"no final trial with a score on val is finished yet{self.unselected}")
        if name not in arms:
            raise UserError(f"arm {name!r} is not in this study; it has {', '.join(arms)}")
        chosen = best_run([record for record in self.records if record.arm == name])
        if chosen is None:
            raise UserError(
                f"arm {name!r} has no completed final trial with a score on val yet"
                + (self.unselected or "; an arm that trains on val never has")
            )
        return chosen

    def errors(self) -> dict[str, dict[str, int]]:
        """Failed trials by arm and by class of error."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for trial in self.trials.values():
            if trial.state == "failed" and trial.error:
                counts[trial.spec["arm"]][trial.error["class"]] += 1
        return {arm: dict(classes) for arm, classes in counts.items()}

    def conflicts(self) -> list[str]:
        """Trials of which attempts came to different results: the machines do not compute alike."""
        return [key for key, trial in self.trials.items() if trial.conflicts]

    def mixture(self) -> list[str]:
        """Where results come from different code, torch or fast paths, which may not compare."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for _, result in self._results:
            for name, value in origin(result["provenance"]).items():
                counts[name][value] += 1
        return [
            f"mixed results, which may not compare: {name} "
            + ", ".join(f"{value[:12]} ({n} trials)" for value, n in values.items())
            for name, values in counts.items()
            if len(values) > 1
        ]

    def provenance(self) -> dict[str, Any]:
        """What the results come from, with numbers of trials; and the noise in their labels."""
        sources = {
            name: dict(Counter(_source(result["provenance"][name]) for _, result in self._results))
            for name in ("commit", "code", "processor", "versions")
        }
        return sources | {
            "errors": self.errors(),
            "conflicts": self.conflicts(),
            "damaged": damage_lines(self.damaged),
            "mixture": self.mixture(),
            "study": self.study.name,
            "protocol": self.document["hash"],
            "data": self.document["fingerprint"],
            "noise": self._noise(),
        }

    def _noise(self) -> list[Json]:
        """The noise of every scenario and repeat, nominal and as measured."""
        position = {scenario: i for i, scenario in enumerate(self.study.scenarios)}
        noise: dict[tuple[int, int], Json] = {}
        for spec, result in self._results:
            if spec["scenario"] in position:  # it may no longer be asked for
                noise[position[spec["scenario"]], spec["repeat"]] = {
                    "scenario": spec["scenario"],
                    "repeat": spec["repeat"],
                    "data_seed": spec["data_seed"],
                    **result["data"]["noise"],
                }
        return [noise[key] for key in sorted(noise)]

    @property
    def described(self) -> DataDescription | None:
        """What the first trial with a result under the study's own protocol says of its data."""
        return next((r["data"] for spec, r in self._results if not spec["scenario"]), None)

    @property
    def _results(self) -> list[tuple[TrialSpec, TrialResult]]:
        return [(t.spec, t.result) for t in self.trials.values() if t.result is not None]


def _source(value: str | dict[str, str | None] | None) -> str:
    """An entry of a result's provenance as text; versions are listed."""
    if isinstance(value, str):
        return value
    return ", ".join(f"{name} {version}" for name, version in (value or {}).items() if version)


def open_study(storage: str, asked: dict[str, Any] | None = None) -> tuple[Ledger, Json, Study]:
    """The ledger at a storage, what its study.json says, and the study as last requested.

    asked: overrides entries of that request.

    Raises:
        UserError: there is no study.
    """
    ledger = Ledger.open(storage, create=False)
    document, request = ledger.study(), ledger.request()
    assert document is not None
    if request is None or "request" not in request:  # another file, without a digest, in its place
        raise UserError(
            f"storage {storage!r}: request.json is damaged or gone; launch the study again, which "
            "writes it anew"
        )
    own_modules.search(request.pop("modules", {}).values())
    raw = {"name": document["name"], "protocol": document["protocol"]} | request
    raw["request"] = raw["request"] | (asked or {})
    return ledger, document, parse_study(raw, f"{storage}/request.json")


def load_study_state(storage: str) -> tuple[Ledger, StudyState]:
    """The ledger at a storage, and all that is known of its study; finished or not.

    Raises:
        UserError: there is no study.
    """
    ledger, document, study = open_study(storage)
    trials, damaged = ledger.contents()
    planner = plan(study, document["hash"], trials, histories=ledger.histories)
    return ledger, StudyState(study, document, trials, planner, damaged, ledger)

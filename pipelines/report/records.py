"""From a study's ledger to the records that statistics are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipelines.analysis.record import Record, StudyInfo
from pipelines.errors import UserError
from pipelines.ledger.ledger import Ledger, TrialRecord
from pipelines.planning.planner import Assignment, Planner
from pipelines.planning.resume import plan
from pipelines.provenance import origin
from pipelines.study.arms import Arm
from pipelines.study.method_loading import build_method
from pipelines.study.phases import Phase
from pipelines.study.protocol import Protocol
from pipelines.study.search_space import describe_distribution
from pipelines.study.study_file import Study, parse_study


@dataclass(frozen=True)
class StudyState:
    """A study as its ledger has it now.

    planner: has assigned every finished trial to its roles, as far as the study has come.
    """

    study: Study
    document: dict[str, Any]
    trials: dict[str, TrialRecord]
    planner: Planner

    @cached_property
    def records_in(self) -> dict[str, list[Record]]:
        """The records of finished trials, by scenario: a trial with two roles makes two."""
        records: dict[str, list[Record]] = {name: [] for name in self.study.scenarios}
        protocols = self.study.protocols
        for assignment, spec in self.planner.assigned.items():
            trial = self.trials.get(spec["key"])
            if trial is not None and trial.state in ("completed", "diverged", "failed"):
                record = _record(
                    protocols[assignment.scenario],
                    self.planner.arms[assignment.arm],
                    assignment,
                    trial,
                )
                records[assignment.scenario].append(record)
        return records

    @property
    def records(self) -> list[Record]:
        """The records under the study's own protocol."""
        return self.records_in[""]

    @property
    def info(self) -> StudyInfo:
        """What statistics need to know of the study."""
        protocol, request = self.study.protocol, self.study.request
        return {
            "metric": protocol.metric,
            "epoch": protocol.epoch,
            "search": protocol.search,
            "margin": request.margin,
            "arms": {
                name: {
                    "kind": arm.kind,
                    "tuned": arm.tuned,
                    "space": {n: describe_distribution(d) for n, d in arm.space.items()},
                    "default": self._default(name, arm),
                    "planned": self.planner.planned_in["", name],
                }
                for name, arm in self.planner.arms.items()
            },
        }

    def _default(self, name: str, arm: Arm) -> dict[str, Any]:
        """An arm's default configuration, and its knobs' values where these are moved."""
        moved = arm.knobs if name in self.study.request.sensitivity else []
        schedule = self.study.protocol.schedule.model_dump()
        values = {knob: arm.value(knob, schedule) for knob in moved}
        return {n: arm.default[n] for n in arm.space} | values

    def results(self) -> dict[str, Any]:
        """The content of results.json; with the scenarios' own, where the study has axes."""
        from pipelines.analysis.headline import (
            headline,  # scipy and sklearn: `status` starts without them
        )
        from pipelines.analysis.results import summarise
        from pipelines.analysis.scenarios import summarise_scenarios

        results = summarise(self.records, self.info, self.provenance())
        if len(self.records_in) == 1:
            return results
        results["scenarios"] = summarise_scenarios(self.records_in, self.info)
        return results | {"headline": headline(results)}

    def errors(self) -> dict[str, dict[str, int]]:
        """Failed trials by arm and by class of error."""
        found: dict[str, dict[str, int]] = {}
        for trial in self.trials.values():
            if trial.state == "failed" and trial.error:
                counts = found.setdefault(trial.spec["arm"], {})
                counts[trial.error["class"]] = counts.get(trial.error["class"], 0) + 1
        return found

    def conflicts(self) -> list[str]:
        """Trials of which attempts came to different results: the machines do not compute alike."""
        return [key for key, trial in self.trials.items() if trial.conflicts]

    def mixture(self) -> list[str]:
        """Where results come from different code, torch or fast paths, which may not compare."""
        found: dict[str, dict[str, int]] = {}
        for trial in self.trials.values():
            if trial.result is not None:
                for name, value in origin(trial.result["provenance"]).items():
                    counts = found.setdefault(name, {})
                    counts[value] = counts.get(value, 0) + 1
        return [
            f"mixed results, which may not compare: {name} "
            + ", ".join(f"{value[:12]} ({n} trials)" for value, n in counts.items())
            for name, counts in found.items()
            if len(counts) > 1
        ]

    def provenance(self) -> dict[str, Any]:
        """Which versions, commits, processors and data the results come from, each with its number
        of trials; and the noise of every scenario and repeat."""
        found: dict[str, dict[str, int]] = {
            "commit": {},
            "code": {},
            "processor": {},
            "versions": {},
        }
        scenarios = list(self.study.scenarios)
        noise: dict[tuple[str, int], dict[str, Any]] = {}
        for trial in self.trials.values():
            if trial.result is None:
                continue
            for name, counts in found.items():
                value = trial.result["provenance"][name]
                text = value if isinstance(value, str) else _versions(value)
                counts[text] = counts.get(text, 0) + 1
            spec = trial.spec
            noise[spec["scenario"], spec["repeat"]] = {
                "scenario": spec["scenario"],
                "repeat": spec["repeat"],
                "data_seed": spec["data_seed"],
                **trial.result["data"]["noise"],
            }
        return found | {
            "errors": self.errors(),
            "conflicts": self.conflicts(),
            "mixture": self.mixture(),
            "study": self.study.name,
            "protocol": self.document["hash"],
            "data": self.document["fingerprint"],
            "noise": sorted(
                noise.values(), key=lambda n: (scenarios.index(n["scenario"]), n["repeat"])
            ),
        }


def _versions(value: dict[str, str | None] | None) -> str:
    return ", ".join(f"{name} {v}" for name, v in (value or {}).items() if v)


def open_study(storage: str) -> tuple[Ledger, dict[str, Any], Study]:
    """The ledger at a storage, what its study.json says, and the study as last requested.

    Raises:
        UserError: there is no study.
    """
    ledger = Ledger.open(storage, create=False)
    document, request = ledger.study(), ledger.request()
    assert document is not None
    if request is None:
        raise UserError(f"storage {storage!r}: request.json is missing; launch the study again")
    raw = {"name": document["name"], "protocol": document["protocol"]} | request
    return ledger, document, parse_study(raw, f"{storage}/request.json")


def load_study_state(storage: str) -> tuple[Ledger, StudyState]:
    """All that is known of a study; finished or not, running or not."""
    ledger, document, study = open_study(storage)
    trials = ledger.trials()
    return ledger, StudyState(study, document, trials, plan(study, document["hash"], trials))


def _record(protocol: Protocol, arm: Arm, assignment: Assignment, trial: TrialRecord) -> Record:
    spec, result = trial.spec, trial.result or {}
    rule = protocol.epoch
    val = (result.get("val") or {}).get(rule, math.nan)
    held_out = result.get("held_out") or {"score": {"last": math.nan, "selected": math.nan}}
    phases = [Phase.model_validate(phase) for phase in spec["phases"]]
    return Record(
        key=trial.key,
        arm=assignment.arm,
        role=assignment.role,
        repeat=assignment.repeat,
        index=assignment.index,
        config=spec["config"],
        status=trial.state,
        val=val,
        test=held_out["score"],
        passes=result.get("passes", 0),
        seconds=result.get("cost", {}).get("seconds", math.nan),
        clean_train=clean_labels(protocol, phases),
        clean_select=_select_labels(protocol, arm, phases),
        data_seed=spec["data_seed"],
        run_seed=spec["run_seed"],
    )


def clean_labels(protocol: Protocol, phases: list[Phase]) -> int:
    """Clean labels that training uses: trained on, or learned from through the clean loss."""
    splits = protocol.splits
    meta = any("meta" in phase.pool or _meta_learns(phase) for phase in phases)
    val = splits.val_labels == "clean" and any("val" in phase.pool for phase in phases)
    return splits.meta * meta + splits.val * val


def _meta_learns(phase: Phase) -> bool:
    method = build_method(phase.method, phase.hyperparameters)
    return method.fresh_each_step or bool(method.meta_parameters())


def _select_labels(protocol: Protocol, arm: Arm, phases: list[Phase]) -> int:
    """Clean labels that choose a configuration or an epoch."""
    splits = protocol.splits
    selects = arm.tuned or protocol.epoch == "selected"
    held_out = all("val" not in phase.pool for phase in phases)
    return splits.val if selects and held_out and splits.val_labels == "clean" else 0

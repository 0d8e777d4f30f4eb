"""All that is shown of one study."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property

from pipelines.analysis.results_schema import Results
from pipelines.documents import Json
from pipelines.ledger.documents import read_document
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.record import TrialRecord
from pipelines.report.annotators import annotators_table
from pipelines.report.common_values import common_values
from pipelines.report.comparisons import OWN, Comparisons, comparisons
from pipelines.report.figures import DECIDING, study_figures
from pipelines.report.figures.plot import Figure
from pipelines.report.front_table import front_table
from pipelines.report.glance import Glance, glance
from pipelines.report.label_noise import noise_table
from pipelines.report.set_up import SetUp, set_up
from pipelines.report.stopping_rules import stopped_searches, stopping_rules
from pipelines.report.study_state import StudyState, load_study_state
from pipelines.report.trials import TrialRow, trial_rows

SUSPECTS_FILE = "suspects.json"  # written by `suspects`, which ranks labels


@dataclass(frozen=True)
class Failure:
    """A trial that failed or diverged; `file` leads from the storage to what tells of why."""

    key: str
    role: str
    repeat: int
    text: str
    file: str | None


@dataclass(frozen=True)
class StudyReport:
    """All that is shown of one study.

    location: its storage.
    anchor: its id on a page.
    link: leads from the page to the study's files.
    """

    location: str
    ledger: Ledger
    study_state: StudyState
    results: Results
    figures: list[Figure]
    anchor: str = "study"
    link: str = ""

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study_state.study.name

    @property
    def about(self) -> str:
        """What the study file says of it."""
        return self.study_state.study.about

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        return self.results["answer"]["lines"][0]["text"]

    @property
    def glance(self) -> list[Glance]:
        """The answer box."""
        return glance(self.results, self.set_up)

    @cached_property
    def set_up(self) -> SetUp:
        """What was done, in words."""
        return set_up(self.ledger, self.study_state, self.results)

    @cached_property
    def trials(self) -> list[TrialRow]:
        """Every trial that was begun."""
        return trial_rows(self.study_state)

    @property
    def first_figures(self) -> list[Figure]:
        """The figures that decide, which stand before the tables."""
        return [figure for figure in self.figures[:DECIDING] if figure.views]

    @property
    def further_figures(self) -> list[Figure]:
        """The other ones that have something to show."""
        return [figure for figure in self.figures[DECIDING:] if figure.views]

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """Tables and figures that have nothing to show, and why."""
        tables = [(table.title, table.about) for table in self.comparisons if not table.rows]
        return tables + [(f.title, f.caption) for f in self.figures if not f.views]

    @property
    def progress(self) -> str:
        """How far the study has come."""
        runs = self.results["runs"]
        states = Counter(trial.state for trial in self.study_state.trials.values())
        counts = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
        return f"{runs['done']} of {runs['planned']} runs have ended (trials: {counts or 'none'})."

    @property
    def comparisons(self) -> list[Comparisons]:
        """The tables that compare arms."""
        stopping = [*stopped_searches(self.results), stopping_rules(self.results)]
        searched = [*front_table(self.results), *stopping]
        return [*common_values(self.results), *comparisons(self.results), *searched]

    @property
    def label_noise(self) -> Comparisons | None:
        """Which classes are labelled as which, where it can only be estimated."""
        return noise_table(self.results)

    @property
    def suspects(self) -> Json | None:
        """What `suspects` has written about the labels, if anybody asked for it."""
        return read_document(self.ledger.storage, SUSPECTS_FILE)

    @property
    def annotators(self) -> Comparisons | None:
        """Who gave the labels, where several did and `suspects` has looked at them."""
        return annotators_table(self.suspects)

    @property
    def failures(self) -> list[Failure]:
        """The trials that failed or diverged, with what is known of why."""
        return [
            Failure(
                key=trial.key,
                role=trial.spec["role"],
                repeat=trial.spec["repeat"],
                text=_what_happened(trial),
                file=_evidence(trial),
            )
            for trial in self.study_state.trials.values()
            if trial.state in ("failed", "diverged")
        ]

    @property
    def failure_counts(self) -> list[str]:
        """Per arm its failed trials by class of error; conflicting results; damaged files."""
        provenance = self.results["provenance"]
        lines = [
            f"{arm} failed: {', '.join(f'{n} by {name}' for name, n in counts.items())}"
            for arm, counts in provenance["errors"].items()
        ]
        conflicts = [
            f"{key}: attempts came to different results, see its conflict.json: the machines of "
            "this study do not compute alike"
            for key in provenance["conflicts"]
        ]
        return [*lines, *conflicts, *provenance["damaged"]]

    @property
    def provenance(self) -> dict[str, list[str]]:
        """What the results come from, line by line."""
        provenance = self.results["provenance"]
        lines = {"protocol": [provenance["protocol"]], "data": [provenance["data"]]}
        for name in ("commit", "code", "processor", "versions"):
            lines[name] = [
                f"{value or 'unknown'} ({n} trial{'s' * (n > 1)})"
                for value, n in provenance[name].items()
            ]
        return lines

    @property
    def repeats(self) -> list[list[str]]:
        """Per scenario and repeat the seeds, and the noise: nominal and as measured."""
        runs: dict[tuple[str, int], set[int]] = defaultdict(set)
        for scenario, records in self.study_state.records_in.items():
            for record in records:
                if record.role == "final":
                    runs[scenario, record.repeat].add(record.run_seed)
        return [
            [
                noise["scenario"] or OWN,
                str(noise["repeat"]),
                str(noise["data_seed"]),
                ", ".join(map(str, sorted(runs[noise["scenario"], noise["repeat"]]))),
                noise["kind"],
                f"{noise['nominal']:.1%}",
                *(_rate(noise["measured"][split]) for split in ("train", "val")),
            ]
            for noise in self.results["provenance"]["noise"]
        ]


def _what_happened(trial: TrialRecord) -> str:
    if trial.state == "diverged":
        epochs = (trial.result or {})["epochs"]
        return (
            f"diverged: the training loss was not finite in epoch {epochs}; it has the worst score"
        )
    error = trial.error or {}
    return f"{error['class']} error: {error['type']}: {error['message']}"


def _evidence(trial: TrialRecord) -> str | None:
    """The file to look at: a traceback, or the history of a run that diverged."""
    if trial.state == "diverged":
        return trial.history_path
    return f"trials/{trial.key}/attempts/{trial.attempts}/traceback.txt"


def _rate(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"


def study_report(location: str) -> StudyReport:
    """Everything the report says of the study in a storage, as far as it has come.

    Raises:
        UserError: there is no study.
    """
    ledger, study_state = load_study_state(location)
    results = study_state.results()
    return StudyReport(
        location, ledger, study_state, results, study_figures(ledger, study_state, results)
    )

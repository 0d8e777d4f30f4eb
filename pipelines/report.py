"""The report of a study, from its ledger: results.json, and the pages drawn from it."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from pipelines import tables
from pipelines.comparisons import OWN, Comparisons, comparisons
from pipelines.documents import decode
from pipelines.figures import study_figures
from pipelines.figures.across import compare_studies
from pipelines.figures.plot import COLOURS, Figure
from pipelines.ledger import Ledger, Trial
from pipelines.records import Findings, gather
from pipelines.results import to_csv

TEMPLATES = Path(__file__).parent / "templates"
Json = dict[str, Any]


@dataclass(frozen=True)
class StudyReport:
    """All that is shown of one study. `place` is its storage; `anchor` its id on a page.

    `link` leads from the page to the study's files.
    """

    place: str
    ledger: Ledger
    findings: Findings
    results: Json
    figures: list[Figure]
    anchor: str = "study"
    link: str = ""

    @property
    def name(self) -> str:
        """The study's name."""
        return self.findings.study.name

    @property
    def about(self) -> str:
        """What the study file says of it."""
        return self.findings.study.about

    @property
    def verdict(self) -> tuple[str, list[str]]:
        """The answer in one sentence, and what is to be said beside it."""
        first, *rest = self.results["headline"]["sentences"]
        return first, rest

    @property
    def progress(self) -> str:
        """How far the study has come."""
        planner = self.findings.planner
        done, planned = planner.done.total(), planner.planned.total()
        states = Counter(trial.state for trial in self.findings.trials.values())
        counts = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
        return f"{done} of {planned} runs have ended (trials: {counts or 'none'})."

    @property
    def comparisons(self) -> list[Comparisons]:
        """The tables that compare arms."""
        return comparisons(self.results)

    @property
    def suspects(self) -> Json | None:
        """What `suspects` has written about the labels, if anybody asked for it."""
        return decode(self.ledger.storage.read("suspects.json"))

    @property
    def failures(self) -> list[Json]:
        """The trials that failed or diverged, with what is known of why."""
        return [
            {
                "key": trial.key,
                "phase": trial.spec["phase"],
                "repeat": trial.spec["repeat"],
                "text": _what_happened(trial),
                "file": _evidence(trial),
            }
            for trial in self.findings.trials.values()
            if trial.state in ("failed", "diverged")
        ]

    @property
    def failure_counts(self) -> list[str]:
        """Per arm its failed trials by class of error; and the trials with conflicting results."""
        found = self.results["provenance"]
        lines = [
            f"{arm} failed: {', '.join(f'{n} by {name}' for name, n in counts.items())}"
            for arm, counts in found["errors"].items()
        ]
        return lines + [
            f"{key}: attempts came to different results, see its conflict.json: the machines of "
            "this study do not compute alike"
            for key in found["conflicts"]
        ]

    @property
    def provenance(self) -> dict[str, list[str]]:
        """What the results come from, line by line."""
        found = self.results["provenance"]
        lines = {"protocol": [found["protocol"]], "data": [found["data"]]}
        for name in ("commit", "code", "processor", "versions"):
            lines[name] = [
                f"{value or 'unknown'} ({n} trial{'s' * (n > 1)})"
                for value, n in found[name].items()
            ]
        return lines

    @property
    def repeats(self) -> list[list[str]]:
        """Per scenario and repeat the seeds, and the noise: nominal and as measured."""
        runs: dict[tuple[str, int], set[int]] = defaultdict(set)
        for scenario, records in self.findings.records_in.items():
            for record in records:
                if record.phase == "final":
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


def _what_happened(trial: Trial) -> str:
    if trial.state == "diverged":
        epochs = (trial.result or {})["epochs"]
        return (
            f"diverged: the training loss was not finite in epoch {epochs}; it has the worst score"
        )
    error = trial.error or {}
    return f"{error['class']} error: {error['type']}: {error['message']}"


def _evidence(trial: Trial) -> str | None:
    """The file to look at: a traceback, or the history of a run that diverged."""
    if trial.state == "diverged":
        return trial.history_path
    return f"trials/{trial.key}/attempts/{trial.attempts}/traceback.txt"


def _rate(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"


def study_report(place: str) -> StudyReport:
    """Everything the report says of the study in a storage, as far as it has come.

    Raises:
        UserError: there is no study.
    """
    ledger, findings = gather(place)
    results = findings.results()
    return StudyReport(place, ledger, findings, results, study_figures(ledger, findings, results))


def write_report(places: str | Sequence[str]) -> list[str]:
    """Write results.json, results.csv, report.md and report.html into the study's own storage.

    Given several, each gets its own first three, and the first one the page of all of them.
    Returns where the files are.

    Raises:
        UserError: there is no study.
    """
    reports = [study_report(place) for place in ([places] if isinstance(places, str) else places)]
    written = []
    for report in reports:
        files = {
            "results.json": json.dumps(
                report.results, indent=1, ensure_ascii=False, allow_nan=False
            )
            + "\n",
            "results.csv": to_csv(report.results),
            "report.md": markdown(report),
        }
        if report is reports[0]:
            files["report.html"] = page(reports)
        for name, text in files.items():
            report.ledger.storage.replace(name, text.encode())
            written.append(f"{report.place.rstrip('/')}/{name}")
    return written


def markdown(report: StudyReport) -> str:
    """The short report: the answer, the main table, how it was chosen, and what is missing."""
    return _environment().get_template("report.md").render(report=report, tables=tables)


def page(reports: Sequence[StudyReport], live: str = "") -> str:
    """The whole report as one HTML file that needs nothing else.

    live: the version of a page that a dashboard serves, which then asks for newer ones.
    """
    several = len(reports) > 1
    across = compare_studies([(r.findings, r.results) for r in reports]) if several else []
    shown = [
        replace(report, anchor=f"study-{i}", link=_link(reports[0].place, report.place))
        for i, report in enumerate(reports)
    ]
    figures = [{"id": figure.name, "views": figure.to_json()["views"]} for figure in across]
    figures += [
        {"id": f"{report.anchor}-{figure.name}", "views": figure.to_json()["views"]}
        for report in shown
        for figure in report.figures
    ]
    return (
        _environment()
        .get_template("report.html")
        .render(
            reports=shown,
            across=across,
            live=live,
            tables=tables,
            colours=COLOURS,
            style=_inline("page.css"),
            script=_inline("page.js"),
            plotly=Markup(get_plotlyjs()),
            figures=json_script(figures),
        )
    )


def _link(home: str, place: str) -> str:
    """The way from the page in one storage to the files of another."""
    if place == home:
        return ""
    if "://" in place:
        return f"{place.rstrip('/')}/"
    return f"{Path(os.path.relpath(place, home)).as_posix()}/"


def json_script(value: Any) -> Markup:
    """JSON that cannot end the <script> element it stands in."""
    text = _json(value, separators=(",", ":"))
    return Markup(text.replace("<", r"\u003c").replace("\u2028", r"\u2028"))


def _json(value: Any, **style: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, **style)


def _inline(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text())


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = markdown_cell
    return environment


def markdown_cell(text: str) -> str:
    """Text in a Markdown table or list: neither markup nor the end of a cell."""
    for character in "\\|<>*_`[]":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())

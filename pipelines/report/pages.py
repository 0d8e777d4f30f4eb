"""The report of a study, from its ledger: results.json, and the pages drawn from it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from pipelines.analysis.results_csv import to_csv
from pipelines.kinds import KINDS
from pipelines.report import tables
from pipelines.report.figures.across import compare_studies
from pipelines.report.methods_text import methods_bib, methods_tex
from pipelines.report.study_report import StudyReport, study_report
from pipelines.report.trials import trials_csv, trials_for_page

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("figures.js", "names.js", "export.js", "tables.js", "trials.js", "labels.js", "page.js")


def write_report(storages: str | Sequence[str]) -> list[str]:
    """Write the report's files into the study's own storage: numbers, texts, and the page.

    Given several, each gets its own, but for the page of all of them, which the first one gets.

    Returns:
        Where the files are.

    Raises:
        UserError: there is no study.
    """
    storages = [storages] if isinstance(storages, str) else storages
    reports = [study_report(storage) for storage in storages]
    written = []
    for report in reports:
        files = {
            "results.json": _json(report.results, indent=1) + "\n",
            "results.csv": to_csv(report.results),
            "trials.csv": trials_csv(report.trials),
            "report.md": markdown(report),
            "methods.tex": methods_tex(report.study_state, report.set_up),
            "methods.bib": methods_bib(report.study_state),
        }
        if report is reports[0]:
            files["report.html"] = page(reports)
        for name, text in files.items():
            report.ledger.storage.replace(name, text.encode())
            written.append(f"{report.location.rstrip('/')}/{name}")
    return written


def markdown(report: StudyReport) -> str:
    """The short report: the answer, the main table, how it was chosen, and what is missing."""
    return page_environment().get_template("report.md").render(report=report, tables=tables)


def page(reports: Sequence[StudyReport], live: str = "") -> str:
    """The whole report as one HTML file that needs nothing else.

    reports: one section each; of two or more, what they differ in is drawn first.
    live: the version of a page that a dashboard serves, which then asks for newer ones.
    """
    several = len(reports) > 1
    across = compare_studies([(r.study_state, r.results) for r in reports]) if several else []
    shown = [
        replace(report, anchor=f"study-{i}", link=_link(reports[0].location, report.location))
        for i, report in enumerate(reports)
    ]
    figures = [{"id": figure.name, "views": figure.to_json()} for figure in across]
    figures += [
        {"id": f"{report.anchor}-{figure.name}", "views": figure.to_json()}
        for report in shown
        for figure in report.figures
    ]
    trials = {
        report.anchor: trials_for_page(report.ledger, report.study_state) | {"link": report.link}
        for report in shown
    }
    return (
        page_environment()
        .get_template("report.html")
        .render(
            reports=shown,
            across=across,
            live=live,
            tables=tables,
            kinds=KINDS,
            style=inline_file("page.css"),
            script=Markup("\n").join(map(inline_file, SCRIPTS)),
            trials=json_script(trials),
            plotly=Markup(get_plotlyjs()),
            figures=json_script(figures),
        )
    )


def live_page() -> str:
    """The page that shows studies while they run: it fetches live.json again and again."""
    return (
        page_environment()
        .get_template("live.html")
        .render(style=inline_file("live.css"), script=inline_file("live.js"))
    )


def _link(home: str, storage: str) -> str:
    """The way from the page in one storage to the files of another."""
    if storage == home:
        return ""
    if "://" in storage:
        return f"{storage.rstrip('/')}/"
    return f"{Path(os.path.relpath(storage, home)).as_posix()}/"


def json_script(value: Any) -> Markup:
    """JSON that cannot end the <script> element it stands in."""
    text = _json(value, separators=(",", ":"))
    return Markup(text.replace("<", r"\u003c").replace("\u2028", r"\u2028"))


def _json(value: Any, **style: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, **style)


def inline_file(name: str) -> Markup:
    """A style or a script, to stand in a page."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def page_environment(*folders: Path) -> Environment:
    """Jinja's, with this package's templates; folders: of templates beside these."""
    environment = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
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

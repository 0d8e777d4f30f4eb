"""Publishes a study to Weights & Biases, from its ledger alone, as often as one likes.

Every finished trial becomes the run of its key: rows that the server has are not sent again. A run
of job type `report` holds the answer, the tables, each figure, the page, and results.json; it, the
workspace and the report are replaced, not repeated. So it does not matter whether the study was
logged online, offline, or not at all. What was published where is kept in the study's wandb.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NotRequired, TypedDict

import wandb
import wandb_workspaces.workspaces as ws
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from pipelines.analysis.results_csv import to_csv
from pipelines.documents import Json
from pipelines.errors import UserError
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.record import TrialRecord
from pipelines.report import tables
from pipelines.report.pages import markdown, page
from pipelines.report.study_report import StudyReport, study_report
from pipelines.report.trials import PUBLICATIONS
from pipelines.tracking import workspace as views
from pipelines.tracking.environment import about_the_server_only
from pipelines.tracking.mode import resolve_mode
from pipelines.tracking.rows import tracked_row, tracked_summary
from pipelines.tracking.run import client_settings, project_name, run_id, tracker
from pipelines.tracking.server import server
from pipelines.trial_documents import HistoryRow

BUDGET = ("budget", "passes", "mean", "low", "high", "n", "repeats")
SAVE_EVERY = 20  # runs; a publication that is interrupted looks at no more of them twice


class Publication(TypedDict):
    """What has been published of a study at one server and project."""

    runs: list[str]  # keys of the trials that are complete there
    run_url: NotRequired[str]  # of a trial's run, with {key} for the trial's key
    workspace: NotRequired[str]  # URL
    report_id: NotRequired[str]
    report: NotRequired[str]  # URL


def publish(storage: str) -> list[str]:
    """Send what W&B does not have of a study yet, and renew its report.

    Returns the URLs of the report run, the workspace and the report.

    Raises:
        UserError: there is no study, no API key, or the server cannot be reached or refuses.
    """
    if resolve_mode() != "online":
        raise UserError("--wandb needs an API key and W&B mode online; run `wandb login` first")
    wandb.termsetup(client_settings(), None)  # not a word from the client: what counts is returned
    server.try_again()
    report = study_report(storage)
    with TemporaryDirectory() as folder, about_the_server_only():
        try:
            publications = _Publications(report.ledger)
            _send_runs(report, publications, Path(folder))
            run = _send_report_run(report, Path(folder))
            return [run.url or "", *_save_views(report, publications, run)]
        except (wandb.Error, WandbApiFailedError, TimeoutError) as error:
            raise UserError(f"W&B: {' '.join(str(error).split())}") from None


class _Publications:
    """wandb.json: a publication for each server and project; `here` is the one at hand."""

    def __init__(self, ledger: Ledger) -> None:
        self.storage = ledger.storage
        self.everywhere: dict[str, Publication] = json.loads(
            self.storage.read(PUBLICATIONS) or b"{}"
        )
        api = wandb.Api()
        project = f"{api.settings['base_url']} {api.default_entity}/{project_name()}"
        self.here = self.everywhere.setdefault(project, {"runs": []})

    def save(self) -> None:
        """Write it down."""
        content = json.dumps(self.everywhere, indent=1)
        self.storage.replace(PUBLICATIONS, content.encode())


# ---- runs


def _send_runs(report: StudyReport, publications: _Publications, folder: Path) -> None:
    sent = publications.here["runs"]
    trials = [
        trial
        for trial in report.study_state.trials.values()
        if trial.result is not None and trial.key not in sent
    ]
    histories = report.ledger.histories(trials)
    for number, trial in enumerate(trials, 1):
        _send_run(report, trial, histories[trial.key], folder)
        sent.append(trial.key)
        if number % SAVE_EVERY == 0 or number == len(trials):
            publications.save()


def _send_run(
    report: StudyReport, trial: TrialRecord, history: Iterable[HistoryRow], folder: Path
) -> None:
    """Send a finished trial as a run: the rows that the server lacks, and the summary.

    report: of its study. history: all of its rows. folder: for the client's files.
    """
    assert trial.result is not None
    with tracker(
        trial.spec,
        study=report.name,
        study_id=report.study_state.document.get("id"),
        protocol=report.study_state.document["protocol"],
        directory=folder,
        mode="online",
        history=map(tracked_row, history),
    ) as run:
        run.summarize(tracked_summary(trial.result))
    if not run.complete:
        raise UserError(f"W&B: trial {trial.key} could not be published; the same command goes on")


def _send_report_run(report: StudyReport, folder: Path) -> wandb.Run:
    """One row under one id. Without `resume` the run of that id is replaced."""
    document = report.study_state.document
    with wandb.init(
        id=run_id(f"report-{document['hash'][:16]}", document.get("id")),
        project=project_name(),
        name=f"{report.name}/report",
        group=report.name,
        job_type=views.REPORT_RUN,
        config={"study": report.name, "protocol": document["protocol"]},
        dir=folder,
        mode="online",
        reinit="create_new",
        settings=client_settings(),
    ) as run:
        run.log(_tables_and_page(report) | _figures(report))
        run.summary.update(_answer(report))
        run.log_artifact(_results_artifact(report))
    return run


def _answer(report: StudyReport) -> Json:
    """The answer, as far as there is one: what is said, and the numbers that it is made of."""
    answer, runs = report.results["answer"], report.results["runs"]
    tuning = next((t for t in answer["tunings"] if t["arm"] == answer["tuning"]), None)
    own = answer["self_tuning"]
    gaps = ([tuning["gain"]] if tuning else []) + (own["gaps"] if own else [])
    fields: Json = {
        "headline": " ".join(report.results["headline"]["sentences"]),
        "runs/done": runs["done"],
        "runs/planned": runs["planned"],
        "warnings": len(answer["warnings"]),
        "use": answer["use"]["arm"] if answer["use"] else None,
        "tuning": answer["tuning"],
        "self_tuning": own["arm"] if own else None,
    }
    texts = {line.question: f"{line.short}. {line.text}" for line in report.glance}
    numbers = {
        f"{gap['arm']} over {gap['over']}/{end}": gap[end]
        for gap in gaps
        for end in ("mean", "low", "high")
    }
    return {f"answer/{name}": value for name, value in (fields | texts | numbers).items()}


def _figures(report: StudyReport) -> Json:
    """The panels of each figure's first view, one medium each."""
    return {
        name: wandb.Plotly(panel.to_figure())
        for figure in report.first_figures + report.further_figures
        for name, panel in zip(
            views.figure_keys(figure), next(iter(figure.views.values())), strict=True
        )
    }


def _tables_and_page(report: StudyReport) -> Json:
    rows, columns = tables.rows(report.results), tables.columns(report.results)
    cells: list[Any] = [[row[c.name].text for c in columns] for row in rows]
    points: list[Any] = [
        [name, *(point[field] for field in BUDGET)]
        for name, arm in report.results["arms"].items()
        if "budget" in arm
        for point in arm["budget"]["curve"]
    ]
    return {
        "arms": wandb.Table(columns=[c.heading for c in columns], data=cells),
        "budget": wandb.Table(columns=["arm", *BUDGET], data=points),
        views.PAGE: wandb.Html(page([report]), inject=False),
    }


def _results_artifact(report: StudyReport) -> wandb.Artifact:
    """results.json and results.csv; W&B makes a new version only where their content changed."""
    artifact = wandb.Artifact(f"{report.name}-results", type="results")
    contents = {
        "results.json": json.dumps(report.results, indent=1),
        "results.csv": to_csv(report.results),
    }
    for name, text in contents.items():
        with artifact.new_file(name) as file:
            file.write(text)
    return artifact


# ---- workspace and report


def _save_views(report: StudyReport, publications: _Publications, run: wandb.Run) -> list[str]:
    """Create or renew workspace and report; their URLs."""
    study = views.LoggedStudy(
        run.entity, run.project, report.name, report.results, sorted(_logged_keys(report)),
        report.first_figures + report.further_figures,
    )  # fmt: skip
    publication = publications.here
    publication["run_url"] = _run_url(report, run)
    workspace = _renewed(views.workspace(study), publication.get("workspace"))
    workspace_url = publication["workspace"] = workspace.save().url
    publications.save()  # or an interruption here would leave a second workspace next time
    view = views.report(study, markdown(report))
    view.id = publication.get("report_id", "")
    view.save()
    publication["report_id"], publication["report"] = view.id, view.url
    publications.save()
    return [workspace_url, view.url]


def _run_url(report: StudyReport, run: wandb.Run) -> str:
    """Where the runs of a study's trials are, beside the report run; {key} stands for the trial."""
    beside = (run.url or "").partition("?")[0].rpartition("/")[0]
    return f"{beside}/{run_id('{key}', report.study_state.document.get('id'))}"


def _renewed(workspace: ws.Workspace, url: str | None) -> ws.Workspace:
    """The workspace at a URL with new content; as it is, if there is none or it was deleted."""
    if url is None:
        return workspace
    try:
        known = ws.Workspace.from_url(url)
    except ValueError:
        return workspace
    known.sections, known.settings = workspace.sections, workspace.settings
    known.runset_settings = workspace.runset_settings
    return known


def _logged_keys(report: StudyReport) -> set[str]:
    """What the final runs log, epoch by epoch."""
    state = report.study_state
    trials = [state.trials[record.key] for record in state.records if record.role == "final"]
    histories = report.ledger.histories(trials)
    return {key for rows in histories.values() for row in rows for key in row}

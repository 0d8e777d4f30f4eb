"""Publishes a study to Weights & Biases, from its ledger alone, as often as one likes.

Every finished trial becomes the run of its key: rows that the server has are not sent again. A run
of job type `report` holds the tables, the page with its figures, and results.json; it, the
workspace and the report are replaced, not repeated. So it does not matter whether the study was
logged online, offline, or not at all. What was published where is kept in the study's wandb.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import wandb
import wandb_workspaces.workspaces as ws
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from pipelines.analysis.results import to_csv
from pipelines.errors import UserError
from pipelines.ledger.ledger import Ledger, TrialRecord
from pipelines.report import tables
from pipelines.report.pages import markdown, page
from pipelines.report.study_report import StudyReport, study_report
from pipelines.tracking import workspace as wandb_workspace
from pipelines.tracking.mode import resolve_mode
from pipelines.tracking.rows import tracked_row, tracked_summary
from pipelines.tracking.run import client_settings, project_name, tracker

Json = dict[str, Any]

BUDGET = ("budget", "passes", "mean", "low", "high", "n", "repeats")
RECORD = "wandb.json"
SAVE_EVERY = 20  # runs; a publication that is interrupted looks at no more of them twice


def publish(storage: str) -> list[str]:
    """Send what W&B does not have of a study yet, and renew its report; where to look.

    Raises:
        UserError: there is no study, no API key, or the server cannot be reached or refuses.
    """
    if resolve_mode() != "online":
        raise UserError("--wandb needs an API key and W&B mode online; run `wandb login` first")
    wandb.termsetup(client_settings(), None)  # not a word from the client: what counts is returned
    found = study_report(storage)
    with TemporaryDirectory() as folder:
        try:
            record = _Record(found.ledger)
            _send_runs(found, record, Path(folder))
            run = _send_report_run(found, Path(folder))
            return [run.url or "", *_save_views(found, record, run)]
        except (wandb.Error, WandbApiFailedError, TimeoutError) as error:
            raise UserError(f"W&B: {' '.join(str(error).split())}") from None


class _Record:
    """wandb.json: per server and project, the runs that are complete there, and the views' URLs."""

    def __init__(self, ledger: Ledger) -> None:
        self.storage = ledger.storage
        everywhere = json.loads(self.storage.read(RECORD) or b"{}")
        api = wandb.Api()
        place = f"{api.settings['base_url']} {api.default_entity}/{project_name()}"
        self.here: Json = everywhere.setdefault(place, {"runs": []})
        self.everywhere = everywhere

    def save(self) -> None:
        """Write it down."""
        self.storage.replace(RECORD, json.dumps(self.everywhere, indent=1).encode())


def _send_runs(found: StudyReport, record: _Record, folder: Path) -> None:
    sent = record.here["runs"]
    trials = [
        trial
        for trial in found.study_state.trials.values()
        if trial.result is not None and trial.key not in sent
    ]
    histories = found.ledger.histories(trials)
    for number, trial in enumerate(trials, 1):
        _send_run(found, trial, histories[trial.key], folder)
        sent.append(trial.key)
        if number % SAVE_EVERY == 0 or number == len(trials):
            record.save()


def _send_run(
    found: StudyReport, trial: TrialRecord, history: Iterable[Json], folder: Path
) -> None:
    assert trial.result is not None
    with tracker(
        trial.spec,
        study=found.name,
        protocol=found.study_state.document["protocol"],
        directory=folder,
        mode="online",
        history=map(tracked_row, history),
    ) as run:
        run.summarize(tracked_summary(trial.result))
    if not run.complete:
        raise UserError(f"W&B: trial {trial.key} could not be published; the same command goes on")


def _send_report_run(found: StudyReport, folder: Path) -> wandb.Run:
    """One row under one id. Without `resume` the run of that id is replaced."""
    with wandb.init(
        id=f"report-{found.study_state.document['hash'][:16]}",
        project=project_name(),
        name=f"{found.name}/report",
        group=found.name,
        job_type="report",
        config={"study": found.name, "protocol": found.study_state.document["protocol"]},
        dir=folder,
        mode="online",
        reinit="create_new",
        settings=client_settings(),
    ) as run:
        run.log(_media(found))
        run.summary["headline"] = " ".join(found.results["headline"]["sentences"])
        run.log_artifact(_artifact(found))
    return run


def _media(found: StudyReport) -> Json:
    """The tables, and the page with all its figures."""
    main = tables.rows(found.results)
    columns = tables.columns(found.results)
    cells: list[Any] = [[row[c.name].text for c in columns] for row in main]
    points: list[Any] = [
        [name, *(point[field] for field in BUDGET)]
        for name, arm in found.results["arms"].items()
        if arm["tuned"]
        for point in arm["budget"]["curve"]
    ]
    return {
        "arms": wandb.Table(columns=[c.heading for c in columns], data=cells),
        "budget": wandb.Table(columns=["arm", *BUDGET], data=points),
        wandb_workspace.PAGE: wandb.Html(page([found]), inject=False),
    }


def _artifact(found: StudyReport) -> wandb.Artifact:
    """results.json and results.csv; W&B makes a new version only where their content changed."""
    artifact = wandb.Artifact(f"{found.name}-results", type="results")
    contents = {
        "results.json": json.dumps(found.results, indent=1),
        "results.csv": to_csv(found.results),
    }
    for name, text in contents.items():
        with artifact.new_file(name) as file:
            file.write(text)
    return artifact


def _save_views(found: StudyReport, record: _Record, run: wandb.Run) -> list[str]:
    """Create or renew workspace and report; their URLs."""
    place = (run.entity, run.project, found.name, found.results, sorted(_keys(found)))
    workspace = _renewed(wandb_workspace.workspace(*place), record.here.get("workspace"))
    record.here["workspace"] = workspace.save().url
    record.save()
    report = wandb_workspace.report(*place, markdown(found))
    report.id = record.here.get("report_id", "")
    report.save()
    record.here |= {"report_id": report.id, "report": report.url}
    record.save()
    return [record.here["workspace"], record.here["report"]]


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


def _keys(found: StudyReport) -> set[str]:
    """What the final runs log, epoch by epoch."""
    finals = {r.key for r in found.study_state.records if r.role == "final"}
    trials = [found.study_state.trials[key] for key in finals]
    return {key for rows in found.ledger.histories(trials).values() for row in rows for key in row}

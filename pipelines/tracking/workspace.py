"""A study in Weights & Biases, as code: its workspace, and its report.

The workspace shows the study's runs grouped by arm; the report tells what results.json and
report.html tell, with W&B's own panels where W&B can draw them. Pure: nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2.interface as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces.expr import And

from pipelines.analysis.results_schema import Results
from pipelines.report.figures.plot import Figure
from pipelines.trial_documents import WEIGHT_FUNCTION, Role

TABLES = ("arms", "budget")  # logged by the report run
PAGE = "report"  # the whole report.html, logged by the report run
REPORT_RUN = "report"  # its job type; every other run's is the role of its trial


@dataclass(frozen=True)
class LoggedStudy:
    """What workspace and report are made from.

    entity, project: where its runs are. name: the group of its runs. results: as in results.json.
    keys: names of what its runs log, epoch by epoch. figures: what the report run logs, each by
    itself.
    """

    entity: str
    project: str
    name: str
    results: Results
    keys: Collection[str]
    figures: Sequence[Figure] = ()

    @property
    def tuned(self) -> list[str]:
        """Names of the arms that are tuned."""
        return [name for name, arm in self.results["arms"].items() if arm["tuned"]]


def workspace(study: LoggedStudy) -> ws.Workspace:
    """The workspace of a study's runs, grouped by arm."""
    return ws.Workspace(
        entity=study.entity,
        project=study.project,
        name=f"{study.name}: runs by arm",
        sections=_sections(study),
        settings=ws.WorkspaceSettings(x_axis="epoch", max_runs=100),
        runset_settings=ws.RunsetSettings(
            filters=And(ws.Metric("Group") == study.name, ws.Metric("JobType") != REPORT_RUN),
            groupby=[ws.Config("arm")],
            order=[ws.Ordering(ws.Summary("val/last"), ascending=False)],
        ),
    )


def _sections(study: LoggedStudy) -> list[ws.Section]:
    """Curves over epochs by subject, then the search of each tuned arm; empty ones are left out."""
    by_name = curves(study)
    by_name["Search"] = [panel for arm in study.tuned for panel in search_panels(study, arm)]
    return [
        ws.Section(name=name, panels=panels, is_open=True)
        for name, panels in by_name.items()
        if panels
    ]


def curves(study: LoggedStudy) -> dict[str, list[Any]]:
    """Line plots by subject: training, learned hyperparameters, example weights."""
    numbers = [k for k in study.keys if not k.startswith(WEIGHT_FUNCTION)]  # those are histograms
    learned = [k for k in numbers if k.startswith("learned/")]
    weights = ["weights/auroc", "weights/clean_mean", "weights/corrupted_mean", "weights/zero"]
    return {
        "Training": _lines([f"val/{study.results['metric']}", "train/loss", "lr"], study),
        "Learned hyperparameters": _lines([*learned, "meta/gradient_norm"], study),
        "Example weights": _lines(weights, study),
    }


def _lines(wanted: Iterable[str], study: LoggedStudy) -> list[Any]:
    """Curves over epochs, one per arm, of those wanted that the runs log."""
    return [
        wr.LinePlot(
            title=name,
            x="epoch",
            y=[name],
            groupby=wr.Config("arm"),
            groupby_aggfunc="median",
            groupby_rangefunc="minmax",
        )
        for name in wanted
        if name in study.keys
    ]


def search_panels(study: LoggedStudy, arm: str) -> list[Any]:
    """Parallel coordinates of an arm's hyperparameters and val; importance, if it has several."""
    val = f"val/{study.results['selection']['epoch']}"
    space = study.results["arms"][arm]["space"]
    columns = [
        wr.ParallelCoordinatesPlotColumn(
            metric=wr.Config(f"config.{name}"), display_name=name, log=bool(d.get("log"))
        )
        for name, d in space.items()
    ]
    columns.append(wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(val)))
    panels: list[Any] = [
        wr.ParallelCoordinatesPlot(title=f"{arm}: hyperparameters and {val}", columns=columns)
    ]
    if len(space) > 1:
        panels.append(wr.ParameterImportancePlot(with_respect_to=val))
    return panels


def report(study: LoggedStudy, text: str) -> wr.Report:
    """The report on a study; `text` is its Markdown: the answer, the table, what is missing."""
    return wr.Report(
        entity=study.entity,
        project=study.project,
        title=f"{study.name} report",
        description=" ".join(line["text"] for line in study.results["answer"]["lines"]),
        blocks=_blocks(study, text),
        width="fluid",
    )


def _blocks(study: LoggedStudy, text: str) -> list[Any]:
    """Text first; then the report run's tables, figures and page; then W&B's own panels."""
    blocks: list[Any] = [
        wr.MarkdownBlock(text=text),
        wr.H2("Tables and figures"),
        wr.PanelGrid(
            runsets=[_runset(study, "report", REPORT_RUN)],
            panels=[
                *(wr.WeavePanelSummaryTable(table_name=name) for name in TABLES),
                *(
                    wr.MediaBrowser(title=f.title, media_keys=figure_keys(f), num_columns=1)
                    for f in study.figures
                ),
                wr.MediaBrowser(title="The whole report", media_keys=[PAGE], num_columns=1),
            ],
        ),
    ]
    for subject, panels in curves(study).items():
        if panels:
            grid = wr.PanelGrid(runsets=[_runset(study, "final runs", "final")], panels=panels)
            blocks += [wr.H2(f"{subject}: final runs"), grid]
    for arm in study.tuned:
        searched = _runset(study, arm, "search", ws.Config("arm") == arm)
        grid = wr.PanelGrid(runsets=[searched], panels=search_panels(study, arm))
        blocks += [wr.H2(f"Search: {arm}"), grid]
    return blocks


def figure_keys(figure: Figure) -> list[str]:
    """Under which names the panels of a figure's first view are logged."""
    panels = next(iter(figure.views.values()))
    if len(panels) == 1:
        return [f"figures/{figure.name}"]
    return [f"figures/{figure.name}/{number}" for number, _ in enumerate(panels, 1)]


def _runset(study: LoggedStudy, name: str, job_type: Role | str, *conditions: Any) -> wr.Runset:
    """The study's runs of one job type, as far as they meet the conditions."""
    filters = And(ws.Metric("Group") == study.name, ws.Metric("JobType") == job_type, *conditions)
    return wr.Runset(entity=study.entity, project=study.project, name=name, filters=filters)

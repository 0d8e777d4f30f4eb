"""A study in Weights & Biases, as code: its workspace, and its report.

The workspace shows the study's runs grouped by arm; the report tells what results.json and
report.html tell, with W&B's own panels where W&B can draw them. Pure: nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import wandb_workspaces.reports.v2.interface as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces.expr import And

Json = dict[str, Any]

TABLES = ("arms", "budget")  # logged by the report run
PAGE = "report"
WEIGHT_FUNCTION = "learned/weight_function"  # a histogram, no curve


def workspace(
    entity: str, project: str, study: str, results: Json, keys: Sequence[str]
) -> ws.Workspace:
    """The workspace of a study's runs, grouped by arm.

    keys: names of what its runs log.
    """
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"{study}: runs by arm",
        sections=sections(results, keys),
        settings=ws.WorkspaceSettings(x_axis="epoch", max_runs=100),
        runset_settings=ws.RunsetSettings(
            filters=And(ws.Metric("Group") == study, ws.Metric("JobType") != "report"),
            groupby=[ws.Config("arm")],
            order=[ws.Ordering(ws.Summary("val/last"), ascending=False)],
        ),
    )


def sections(results: Json, keys: Sequence[str]) -> list[ws.Section]:
    """Curves over epochs by subject, then the search of each tuned arm; empty ones are left out."""
    found = curves(results, keys)
    found["Search"] = [panel for arm in _tuned(results) for panel in search_panels(arm, results)]
    return [
        ws.Section(name=name, panels=panels, is_open=True)
        for name, panels in found.items()
        if panels
    ]


def curves(results: Json, keys: Sequence[str]) -> dict[str, list[Any]]:
    """Line plots by subject: training, learned hyperparameters, example weights."""
    learned = [key for key in keys if key.startswith("learned/") and key != WEIGHT_FUNCTION]
    weights = ["weights/auroc", "weights/clean_mean", "weights/corrupted_mean", "weights/zero"]
    return {
        "Training": lines([f"val/{results['metric']}", "train/loss", "lr"], keys),
        "Learned hyperparameters": lines([*learned, "meta/gradient_norm"], keys),
        "Example weights": lines(weights, keys),
    }


def lines(wanted: Iterable[str], keys: Sequence[str]) -> list[wr.LinePlot]:
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
        if name in keys
    ]


def search_panels(arm: str, results: Json) -> list[Any]:
    """Parallel coordinates of an arm's hyperparameters and val; importance, if it has several."""
    val = f"val/{results['selection']['epoch']}"
    space = results["arms"][arm]["space"]
    columns = [
        wr.ParallelCoordinatesPlotColumn(
            metric=wr.Config(f"config.{name}"), display_name=name, log=bool(d.get("log"))
        )
        for name, d in space.items()
    ]
    columns.append(wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(val)))
    return [
        wr.ParallelCoordinatesPlot(title=f"{arm}: hyperparameters and {val}", columns=columns),
        wr.ParameterImportancePlot(with_respect_to=val),
    ][: 1 + (len(space) > 1)]


def report(
    entity: str, project: str, study: str, results: Json, keys: Sequence[str], text: str
) -> wr.Report:
    """The report on a study; `text` is its Markdown: the answer, the table, what is missing."""
    return wr.Report(
        entity=entity,
        project=project,
        title=f"{study} report",
        description=" ".join(results["headline"]["sentences"]),
        blocks=blocks(entity, project, study, results, keys, text),
        width="fluid",
    )


def blocks(
    entity: str, project: str, study: str, results: Json, keys: Sequence[str], text: str
) -> list[Any]:
    """Text first; then the report run's tables and page; then W&B's own panels."""

    def runset(name: str, phase: Literal["report", "final", "search"], *also: Any) -> wr.Runset:
        filters = And(ws.Metric("Group") == study, ws.Metric("JobType") == phase, *also)
        return wr.Runset(entity=entity, project=project, name=name, filters=filters)

    found: list[Any] = [
        wr.MarkdownBlock(text=text),
        wr.H2("Tables and figures"),
        wr.PanelGrid(
            runsets=[runset("report", "report")],
            panels=[
                *(wr.WeavePanelSummaryTable(table_name=name) for name in TABLES),
                wr.MediaBrowser(title="The whole report", media_keys=[PAGE], num_columns=1),
            ],
        ),
    ]
    for subject, panels in curves(results, keys).items():
        if panels:
            grid = wr.PanelGrid(runsets=[runset("final runs", "final")], panels=panels)
            found += [wr.H2(f"{subject}: final runs"), grid]
    for arm in _tuned(results):
        searched = runset(arm, "search", ws.Config("arm") == arm)
        panels = search_panels(arm, results)
        found += [wr.H2(f"Search: {arm}"), wr.PanelGrid(runsets=[searched], panels=panels)]
    return found


def _tuned(results: Json) -> list[str]:
    return [name for name, arm in results["arms"].items() if arm["tuned"]]

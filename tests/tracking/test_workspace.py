"""Workspace and report as code: what their JSON says, without a server."""

import json
from types import SimpleNamespace

import plotly.graph_objects as go
import pytest
from wandb_workspaces.reports.v2 import interface

from pipelines.report.figures.plot import Drawing, Figure, Panel
from pipelines.tracking.workspace import (
    PAGE,
    TABLES,
    LoggedStudy,
    curves,
    report,
    search_panels,
    workspace,
)

Q = {"kind": "float", "low": 0.05, "high": 1.0, "log": False}
LR = {"kind": "float", "low": 0.01, "high": 1.0, "log": True}
RESULTS = {
    "metric": "macro_f1",
    "selection": {"epoch": "selected"},
    "answer": {"lines": [{"question": "?", "text": "Use ce."}, {"question": "?", "text": "Yes."}]},
    "arms": {
        "ce": {"tuned": False, "space": {}},
        "gce": {"tuned": True, "space": {"q": Q}},
        "gce_lr": {"tuned": True, "space": {"q": Q, "schedule.lr": LR}},
    },
}
KEYS = ["epoch", "val/macro_f1", "train/loss", "learned/q", "learned/weight_function"]
KEYS.append("learned/weight_function_2")


PANEL = Panel([], go.Layout())
FIGURES = [
    Figure("cost", "Cost against score", Drawing("", {"passes": [PANEL], "seconds": [PANEL]})),
    Figure("confusion", "Confusion of classes", Drawing("", {"l2rw - gce": [PANEL, PANEL]})),
]
STUDY = LoggedStudy("me", "p", "digits", RESULTS, KEYS, FIGURES)


def spec(view) -> dict:
    return json.loads(view._to_model().model_dump_json(by_alias=True))["spec"]


def test_the_workspace_shows_the_studys_runs_by_arm():
    section = spec(workspace(STUDY))["section"]
    [runs] = section["runSets"]
    assert [(f["key"]["name"], f["op"], f["value"]) for f in runs["filters"]["filters"]] == [
        ("group", "=", "digits"),
        ("jobType", "!=", "report"),
    ]
    [group] = runs["grouping"]
    assert group["section"] == "config" and group["name"].removesuffix(".value") == "arm"
    names = [s["name"] for s in section["panelBankConfig"]["sections"]]
    assert names == ["Training", "Learned hyperparameters", "Search"]  # no weights were logged


def test_there_is_a_curve_for_everything_that_runs_log():
    by_subject = curves(STUDY)
    assert [p.y for p in by_subject["Training"]] == [["val/macro_f1"], ["train/loss"]]
    assert [p.y for p in by_subject["Learned hyperparameters"]] == [["learned/q"]]
    assert by_subject["Example weights"] == []
    config = by_subject["Training"][0]._to_model().config
    assert (config.x_axis, config.group_by, config.group_agg) == ("epoch", "arm.value", "median")


def test_the_importance_panel_needs_several_hyperparameters():
    [coordinates] = search_panels(STUDY, "gce")
    columns = coordinates._to_model().config.columns
    assert [c.accessor for c in columns] == ["config:config.value.q", "summary:val/selected"]
    coordinates, importance = search_panels(STUDY, "gce_lr")
    assert [c.log for c in coordinates._to_model().config.columns] == [False, True, None]
    assert importance._to_model().config.target_key == "val/selected"


@pytest.fixture
def offline(monkeypatch):
    """A panel grid asks the server for its project's number."""
    answer = {"project": {"internalId": "UHJvamVjdDox"}}
    monkeypatch.setattr(interface, "execute_graphql", lambda *_, **__: answer)
    viewer = SimpleNamespace(username="me")
    api = SimpleNamespace(default_entity="me", viewer=viewer)
    monkeypatch.setattr(interface, "_get_api", lambda: api)


def test_the_report_has_text_tables_page_and_panels(offline):
    view = report(STUDY, "the *answer*")
    assert view.description == "Use ce. Yes."
    blocks = spec(view)["blocks"]
    assert any(block.get("content") == "the *answer*" for block in blocks)
    grids = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    [filters] = {grid["runSets"][0]["filters"]["filters"][0]["value"] for grid in grids}
    job_types = [grid["runSets"][0]["filters"]["filters"][1]["value"] for grid in grids]
    assert filters == "digits" and job_types == ["report", "final", "final", "search", "search"]
    text = json.dumps(grids[0])
    assert all(f'"val": "{name}"' in text for name in TABLES) and f'["{PAGE}"]' in text
    assert '["figures/cost"]' in text  # each figure by itself
    assert '["figures/confusion/1", "figures/confusion/2"]' in text

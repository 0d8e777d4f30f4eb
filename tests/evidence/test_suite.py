"""A suite of one small set: it runs, goes on, and its page says what came out."""

import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from benchmarks.evidence import page, suite
from benchmarks.evidence.sets import EvidenceSet
from pipelines.commands.options import Options
from pipelines.study.study_file import parse_study
from tests.evidence.members import member

SMALL = {
    "name": "small",
    "about": "a small one",
    "protocol": {
        "noise": {"kind": "flip", "rate": 0.4},
        "splits": {"meta": 50, "val": 50, "test": 300},
        "model": {"name": "mlp", "options": {"hidden": [16]}},
        "schedule": {"epochs": 2, "lr": 0.05},
    },
    "request": {
        "arms": ["ce", "clean_only_long", "gce", "mw_net"],
        "trials": 0,
        "repeats": 2,
        "seeds": 2,
        "curve": False,
    },
}


@pytest.mark.slow
def test_a_suite_runs_goes_on_where_it_stood_and_reports(tmp_path):
    entry = EvidenceSet("small", "main", "images", "")
    entry.__dict__["study"] = parse_study(SMALL, "small")
    console, options = Console(file=StringIO()), Options(executor="inline", wandb="disabled")
    suite.run_suite([entry], tmp_path, {"repeats": 1}, options, console)
    suite.run_suite([entry], tmp_path, {}, options, console)
    page.write_page([entry], tmp_path)
    content = json.loads((tmp_path / "evidence.json").read_text())
    [shown] = content["sets"]
    assert shown["ended"] == shown["planned"] > 0
    [one] = content["members"]
    assert one["noise_rate"] == pytest.approx(0.4, abs=0.05)
    assert all(score["test"]["repeats"] == 2 for score in one["scores"].values())
    assert sum(one["scores"]["ce"]["rates"].values()) == 4
    assert any("weights fall" in c["claim"] and c["by_set"] for c in content["claims"])
    before = (tmp_path / "evidence.json").read_bytes()
    suite.run_suite([entry], tmp_path, {}, options, console)
    page.write_page([entry], tmp_path)
    assert (tmp_path / "evidence.json").read_bytes() == before


def test_a_suite_of_which_nothing_has_run_says_so(tmp_path):
    page.write_page([EvidenceSet("small", "main", "images", "")], tmp_path)
    text = (tmp_path / "evidence.md").read_text()
    assert "not run yet" in text and "no answer yet" in text
    assert "<h1>Evidence over 0 of 1 set</h1>" in (tmp_path / "evidence.html").read_text()


def test_the_page_marks_development_sets_and_shows_every_table(tmp_path, monkeypatch):
    members = [member(f"set-{i}", seed=i) for i in range(3)]
    members.append(member("known", development=True))
    axis = member("axis", part="axes")
    fewer = axis.study.request.model_copy(update={"repeats": 3})
    members.append(replace(axis, study=axis.study.model_copy(update={"request": fewer})))
    by_name = {m.entry.name: m for m in members}
    monkeypatch.setattr(page, "members_of", lambda entry, root: [by_name[entry.name]])
    page.write_page([m.entry for m in members], tmp_path)
    text = (tmp_path / "evidence.md").read_text()
    for title in (
        "What papers claim",
        "Ranks",
        "Win matrix",
        "Where self-tuning does harm",
        "Cost",
    ):
        assert f"## {title}" in text
    assert "**3 judging sets, 4 repeats**" in text  # not for development, nor an axis
    assert "**l2rw: +3" in text or "**l2rw: +2" in text  # over the best tuned loss
    [known] = [line for line in text.splitlines() if line.startswith("| known |")]
    assert "development" in known
    html = (tmp_path / "evidence.html").read_text()
    assert "known (development)" in html and "://" not in html.split("<script>")[0]

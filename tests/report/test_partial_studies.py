"""The report of a study that is not whole: just begun, half way, without some arms, or failing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.report.pages import write_report
from pipelines.report.study_report import study_report
from tests.conftest import small_study
from tests.support.synthetic_ledger import (
    ARMS_OF_ALL_KINDS,
    completed,
    diverged,
    figures_of,
    write_study,
)


def read(storage: str, name: str) -> str:
    return (Path(storage) / name).read_text()


def test_a_study_that_has_just_begun_has_no_answer_and_no_figure(tmp_path):
    storage = write_study(tmp_path, small_study(ARMS_OF_ALL_KINDS), limit=0)
    write_report(storage)
    assert "there is no answer yet" in read(storage, "report.md")
    assert "no trial has finished" in read(storage, "report.html")
    assert not any(figure.views for figure in figures_of(storage).values())
    assert all(figure.caption.startswith("Left out: ") for figure in figures_of(storage).values())


def test_half_way_the_searches_are_drawn_and_final_runs_of_untuned_arms_alone(tmp_path):
    """Those need no search, and come first."""
    study = small_study(ARMS_OF_ALL_KINDS, trials=4)
    storage = write_study(tmp_path, study, limit=30)
    write_report(storage)
    assert figures_of(storage)["hyperparameters"].views
    results = json.loads(read(storage, "results.json"))
    done = {name for name, arm in results["arms"].items() if arm["test"]["last"]["n"]}
    assert done and not any(study.arm(name).tuned for name in done)
    assert re.search(r"30 of \d+ runs have ended", read(storage, "report.html"))


def test_a_scenario_that_is_no_longer_asked_for_is_not_in_the_report(tmp_path):
    write_study(tmp_path, small_study(("ce",), axes={"splits.meta": [20]}))
    storage = write_study(tmp_path, small_study(("ce",)))
    write_report(storage)
    results = json.loads(read(storage, "results.json"))
    assert [n["scenario"] for n in results["provenance"]["noise"]] == ["", ""]
    assert "scenarios" not in results and "splits.meta" not in read(storage, "report.md")


def test_one_repeat_has_no_interval_of_the_break_even_budget(tmp_path):
    study = small_study(("ce", "gce_plus_meta", "l2rw"), repeats=1, seeds=3)
    storage = write_study(tmp_path, study)
    write_report(storage)
    assert "(no interval: 1 search)" in read(storage, "report.md")
    (panel,) = figures_of(storage)["budget"].views["trials"]
    assert "gce_plus_meta" not in {trace.name for trace in panel.data if trace.fill}


def test_two_repeats_have_no_interval_anywhere(tmp_path):
    """Neither in what programs read, nor in what people do."""
    storage = write_study(tmp_path, small_study(ARMS_OF_ALL_KINDS, seeds=2))
    write_report(storage)
    intervals = list(intervals_of(json.loads(read(storage, "results.json"))))
    assert len(intervals) > 50 and set(intervals) == {(None, None)}
    text = read(storage, "report.md")
    assert "too few repeats" in text and "(no interval: 2 searches)" in text
    assert not re.search(r"\d ± \d|\d \[[+-]?\d", text)
    for name in ("budget", "gain"):
        (panel,) = figures_of(storage)[name].views["trials"]
        assert not any(trace.fill for trace in panel.data if trace.name == "gce_plus_meta")


def intervals_of(content: Any) -> Iterator[tuple[Any, Any]]:
    """Both ends of every interval in a JSON document, for these examples and for new ones."""
    if isinstance(content, list):
        content = dict(enumerate(content))
    if isinstance(content, dict):
        is_range = "log" in content  # of a search space
        for low, high in () if is_range else (("low", "high"), ("new_low", "new_high")):
            if low in content:
                yield content[low], content[high]
        for value in content.values():
            yield from intervals_of(value)


def test_without_a_tuned_arm_all_that_speaks_of_tuning_is_left_out(tmp_path):
    storage = write_study(tmp_path, small_study(("ce", "l2rw")))
    write_report(storage)
    left_out = {name for name, figure in figures_of(storage).items() if not figure.views}
    assert {"budget", "hyperparameters", "parallel", "weight-function", "learned"} <= left_out
    assert "Left out: no tuned arm" in read(storage, "report.html")


def test_failures_are_counted_by_class_and_conflicts_are_named(tmp_path):
    storage = write_study(tmp_path, small_study(("ce",)), lambda spec: OSError("no room"), limit=1)
    report = study_report(storage)
    assert report.failure_counts == ["ce failed: 1 by code"]
    key = report.failures[0].key
    (tmp_path / "trials" / key / "attempts" / "1" / "conflict.json").write_text("{}")
    *_, line = study_report(storage).failure_counts
    assert line.startswith(f"{key}: attempts came to different results")


def test_failures_are_listed_with_their_error_and_their_file(tmp_path):
    study = small_study(("ce", "l2rw"))
    storage = write_study(tmp_path, study, lambda spec: OSError("no such disk"))
    write_report(storage)
    text = read(storage, "report.html")
    links = re.findall(r'href="(trials/[^"]*traceback\.txt)"', text)
    assert len(links) == 4
    assert all("no such disk" in (tmp_path / link).read_text() for link in links)
    assert text.count("code error: OSError: no such disk") == 4
    assert not any(figure.views for figure in figures_of(storage).values())


def test_diverged_runs_are_listed_and_lie_on_the_floor(tmp_path):
    def outcome(spec):
        bad = spec["arm"] == "gce" and spec["config"]["q"] != 0.7 and spec["role"] == "search"
        return diverged(spec) if bad else completed(spec)

    storage = write_study(tmp_path, small_study(("ce", "gce", "l2rw")), outcome)
    report = study_report(storage)
    assert {f.text.partition(":")[0] for f in report.failures} == {"diverged"}
    assert all((tmp_path / f.file).exists() for f in report.failures)
    (panel,) = figures_of(storage)["hyperparameters"].views["gce"]
    (crosses,) = [trace for trace in panel.data if trace.name == "diverged"]
    others = [y for trace in panel.data if trace.name != "diverged" for y in trace.y]
    assert set(crosses.y) == {min(others)}


def test_suspects_are_linked_once_they_are_written(tmp_path):
    storage = write_study(tmp_path, small_study(("ce",)))
    write_report(storage)
    assert "<code>untuned suspects</code>" in read(storage, "report.html")
    sheet = {"arm": "ce", "evidence": "None.", "labels": 0, "first": []}
    (tmp_path / "suspects.json").write_text(json.dumps(sheet))
    write_report(storage)
    assert re.findall('href="(suspects[^"]*)"', read(storage, "report.html")) == ["suspects.csv"]

"""The report: its files agree with results.json, and say what they do not know."""

import csv
import html
import io
import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from plotly.offline import get_plotlyjs
from rich.console import Console

from pipelines.errors import UserError
from pipelines.report.figures.inputs import load_inputs
from pipelines.report.pages import json_script, markdown_cell, page, write_report
from pipelines.report.records import load_study_state
from pipelines.report.study_report import study_report
from pipelines.report.tables import columns, rows, score, terminal_table
from pipelines.study.study_file import parse_study
from tests.conftest import DIGITS, small_study
from tests.support.synthetic_ledger import completed, diverged, figures_of, large_study, write_study

ARMS = ("ce", "gce", "sce_plus_meta", "gce_plus_meta", "finetune", "l2rw", "mw_net", "gce_learned")
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script> | *a* & b"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> str:
    """A finished study of all kinds of arms, its report written."""
    study = small_study(ARMS, trials=5, seeds=2)
    place = write_study(tmp_path_factory.mktemp("finished"), study)
    write_report(place)
    return place


def read(place: str, name: str) -> str:
    return (Path(place) / name).read_text()


def drawn_on(page_text: str) -> Any:
    """The figures of a page, as its script reads them."""
    return json.loads(page_text.split('id="figures">')[1].split("</script>", maxsplit=1)[0])


# ---- the files


def test_four_files_lie_in_the_study_s_directory(tmp_path):
    place = write_study(tmp_path, small_study())
    names = ["results.json", "results.csv", "report.md", "report.html"]
    assert write_report(place) == [f"{place}/{name}" for name in names]
    assert all((tmp_path / name).stat().st_size for name in names)


def test_results_json_holds_the_results(finished):
    assert json.loads(read(finished, "results.json")) == load_study_state(finished)[1].results()


def test_a_place_without_a_study_is_the_user_s_mistake(tmp_path):
    with pytest.raises(UserError, match="holds no study"):
        write_report(str(tmp_path))


def test_tables_show_the_numbers_of_results_json(finished):
    results = json.loads(read(finished, "results.json"))
    table = dict(
        (cells[1].strip(), [c.strip() for c in cells])
        for cells in (line.split("|") for line in read(finished, "report.md").splitlines())
        if len(cells) > 5
    )
    found = {row["arm"]: row for row in csv.DictReader(io.StringIO(read(finished, "results.csv")))}
    page_text = html.unescape(re.sub(r"<[^>]*>", "", read(finished, "report.html")))
    for name, arm in results["arms"].items():
        test = arm["test"]["last"]
        shown = f"{100 * test['mean']:.1f} ± {100 * (test['high'] - test['mean']):.1f}"
        assert table[name.replace("_", r"\_")][3] == shown
        assert float(found[name]["test_last_mean"]) == test["mean"]
        assert shown in page_text
    assert all(sentence in page_text for sentence in results["headline"]["sentences"])


def test_break_even_stands_beside_the_arms_it_is_about(finished):
    results = load_study_state(finished)[1].results()
    ours, theirs = results["headline"]["untuned"], results["headline"]["tuned"]
    pair = next(p for p in results["pairs"] if (p["untuned"], p["tuned"]) == (ours, theirs))
    shown = {row["arm"].text: row["break_even"].text for row in rows(results)}
    end = pair["break_even"]["low"]
    assert shown[ours] == shown[theirs]
    assert shown[ours].split(" [")[1].startswith(f"{'> 5' if end is None else end},")


def test_an_estimate_without_interval_says_so():
    estimate = {"mean": 0.5, "low": None, "high": None}
    assert score("accuracy", estimate) == "50.0 (no interval)"
    assert score("nll", estimate | {"low": 0.25, "high": 0.75}) == "0.500 ± 0.250"
    assert score("accuracy", estimate | {"mean": None}) == "–"


def test_the_terminal_s_table_fits_in_100_columns(finished):
    results = load_study_state(finished)[1].results()
    output = io.StringIO()
    Console(width=100, file=output).print(terminal_table(results))
    lines = output.getvalue().splitlines()
    for row in rows(results):
        line = next(line for line in lines if line.startswith(row["arm"].text + " "))
        shown = (c.name for c in columns(results) if c.name != "kind")
        assert all(row[name].text in line for name in shown)


# ---- figures


def test_every_figure_of_a_full_study_is_drawn_but_for_what_it_was_not_asked_for(finished):
    empty = [name for name, figure in figures_of(finished).items() if not figure.views]
    assert empty == ["sensitivity", "axes"]


def test_captions_give_n_and_speak_of_intervals(finished):
    for figure in figures_of(finished).values():
        if figure.views:
            assert "n = " in figure.caption and "interval" in figure.caption, figure.name


def test_the_budget_figure_draws_the_curves_of_results_json(finished):
    results = load_study_state(finished)[1].results()
    for unit in ("trials", "passes"):
        (panel,) = figures_of(finished)["budget"].views[unit]
        drawn = {t["name"]: t for t in panel.data if "fill" not in t}
        for name, arm in results["arms"].items():
            if not arm["tuned"]:
                assert (
                    drawn[name]["y"] == [pytest.approx(100 * arm["test"]["last"]["mean"], 1e-4)] * 2
                )
                continue
            curve = arm["budget"]["curve"]
            assert drawn[name]["y"] == pytest.approx([100 * p["mean"] for p in curve], 1e-4)
            assert drawn[name]["x"] == [
                p["budget" if unit == "trials" else "passes"] for p in curve
            ]


def test_the_budget_figure_opens_with_the_two_arms_of_the_verdict(finished):
    headline = load_study_state(finished)[1].results()["headline"]
    (panel,) = figures_of(finished)["budget"].views["trials"]
    visible = {trace["name"] for trace in panel.data if trace["visible"]}
    assert visible == {headline["untuned"], headline["tuned"]}


def test_epochs_are_drawn_as_the_median_over_final_runs(finished):
    material = load_inputs(*(found := load_study_state(finished)), found[1].results())
    runs = [material.histories[r.key] for r in material.finals("l2rw")]
    fifth = sorted(rows[4]["val/accuracy"] for rows in runs)
    (panel,) = figures_of(finished)["epochs"].views["all arms"]
    drawn = next(trace for trace in panel.data if trace["name"] == "l2rw")
    assert len(fifth) == 4
    assert drawn["x"][4] == 5
    assert drawn["y"][4] == pytest.approx(100 * (fifth[1] + fifth[2]) / 2, 1e-4)


def test_every_search_trial_is_a_point_at_its_val(finished):
    _, study_state = load_study_state(finished)
    trials = [r for r in study_state.records if r.arm == "sce_plus_meta" and r.role == "search"]
    panels = figures_of(finished)["hyperparameters"].views["sce_plus_meta"]
    assert [p.layout["xaxis"]["title"]["text"] for p in panels] == ["alpha", "beta", "meta_repeat"]
    points = [xy for t in panels[0].data for xy in zip(t["x"], t["y"], strict=True)]
    expected = [(r.config["alpha"], 100 * r.val) for r in trials]
    assert sorted(points) == [pytest.approx(xy, rel=1e-4) for xy in sorted(expected)]


def test_parallel_coordinates_run_from_the_low_to_the_high_end_of_each_range(finished):
    (panel,) = figures_of(finished)["parallel"].views["gce_plus_meta"]
    heights = [y for trace in panel.data for y in trace["y"]]
    assert all(0 <= y <= 1 for y in heights if y is not None)
    default = (0.7 - 0.05) / (1 - 0.05), math.log(10) / math.log(30)  # q; meta_repeat from 1 to 30
    pairs = list(pairwise(heights))
    assert pairs.count((pytest.approx(default[0], 1e-4), pytest.approx(default[1], 1e-4))) == 2
    lines = sum(trace["y"].count(None) for trace in panel.data)
    assert lines == 2 * 6  # repeats x (5 random trials and the default)


def test_weight_histograms_are_shares_of_all_final_runs(finished):
    views = figures_of(finished)["weights"].views
    assert next(iter(views)) == "meta-learned weights"
    for panel in (panel for panels in views.values() for panel in panels):
        assert [t["name"] for t in panel.data] == ["clean", "corrupted"]
        assert [sum(t["y"]) for t in panel.data] == pytest.approx([100, 100], 1e-3)
        assert re.fullmatch(r"\w+: AUROC 0\.\d{3} ± 0\.\d{3}", panel.title)


def test_learned_hyperparameters_stand_beside_what_tuning_selected(finished):
    results = load_study_state(finished)[1].results()
    (panel,) = figures_of(finished)["learned"].views[""]
    levels = [t["y"][0] for t in panel.data if t["name"] == "gce, selected"]
    assert panel.title == "gce_learned: q"
    chosen = [found["config"]["q"] for found in results["arms"]["gce"]["selected"]]
    assert levels == pytest.approx(chosen, 1e-4)


def test_confusion_matrices_are_shares_of_the_true_class(finished):
    for (panel,) in figures_of(finished)["confusion"].views.values():
        assert [sum(row) for row in panel.data[0]["z"]] == pytest.approx([100] * 10, 1e-3)


def test_cost_counts_the_search(finished):
    results = load_study_state(finished)[1].results()
    (panel,) = figures_of(finished)["cost"].views["passes"]
    drawn = {trace["name"]: trace["x"] for trace in panel.data}
    assert drawn["gce"] == [3000 * 7, 3000]  # default, 5 random trials, and the run; the run alone
    assert drawn["l2rw"] == [9000]
    assert results["arms"]["gce"]["passes"]["search"] == 18000


# ---- text is text


def test_text_from_users_is_escaped(tmp_path):
    raw = {"name": "hostile", "about": HOSTILE, "protocol": DIGITS}
    study = parse_study(
        raw | {"request": {"arms": ["ce", "gce", "l2rw"], "trials": 1, "repeats": 1}}, "x"
    )
    place = write_study(
        tmp_path,
        study,
        lambda spec: (
            ValueError(HOSTILE)
            if spec["arm"] == "gce"
            else completed(spec, [HOSTILE, "<b>one</b>"])
        ),
    )
    write_report(place)
    text = read(place, "report.html")
    assert "<img src=x" not in text and "alert(2)</script>" not in text
    assert text.count("</script>") == 3
    data = drawn_on(text)
    assert "&lt;b&gt;one&lt;/b&gt;" in json.dumps(data)  # Plotly would take tags for markup


def test_json_cannot_end_its_script_element():
    assert json.loads(json_script(HOSTILE)) == HOSTILE
    assert "<" not in json_script(HOSTILE)


def test_markdown_keeps_cells_and_markup_apart(tmp_path):
    assert markdown_cell("a|b *c*\n<d>") == r"a\|b \*c\* \<d\>"
    write_report(write_study(tmp_path, small_study()))
    lines = [line for line in read(str(tmp_path), "report.md").splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {11}
    assert len(lines) == 2 + 3


# ---- studies that are not whole


def test_a_study_that_has_just_begun(tmp_path):
    place = write_study(tmp_path, small_study(ARMS), limit=0)
    write_report(place)
    assert "there is no answer yet" in read(place, "report.md")
    assert "no trial has finished" in read(place, "report.html")
    assert not any(figure.views for figure in figures_of(place).values())
    assert all(figure.caption.startswith("Left out: ") for figure in figures_of(place).values())


def test_a_study_half_way(tmp_path):
    place = write_study(tmp_path, small_study(ARMS, trials=4), limit=30)
    write_report(place)
    assert figures_of(place)["hyperparameters"].views
    assert not figures_of(place)["test"].views
    assert re.search(r"30 of \d+ runs have ended", read(place, "report.html"))


def test_one_repeat_has_no_interval_of_the_break_even_budget(tmp_path):
    place = write_study(tmp_path, small_study(("ce", "gce_plus_meta", "l2rw"), repeats=1, seeds=3))
    write_report(place)
    assert "(no interval: one search)" in read(place, "report.md")
    (panel,) = figures_of(place)["budget"].views["trials"]
    assert "gce_plus_meta" not in {t["name"] for t in panel.data if t.get("fill")}


def test_no_tuned_arm(tmp_path):
    place = write_study(tmp_path, small_study(("ce", "l2rw")))
    write_report(place)
    left_out = {name for name, figure in figures_of(place).items() if not figure.views}
    assert {"budget", "hyperparameters", "parallel", "weight-function", "learned"} <= left_out
    assert "Left out: no tuned arm" in read(place, "report.html")


def test_failures_are_counted_by_class_and_conflicts_are_named(tmp_path):
    place = write_study(tmp_path, small_study(("ce",)), lambda spec: OSError("no room"), limit=1)
    report = study_report(place)
    assert report.failure_counts == ["ce failed: 1 by code"]
    key = report.failures[0]["key"]
    (tmp_path / "trials" / key / "attempts" / "1" / "conflict.json").write_text("{}")
    *_, line = study_report(place).failure_counts
    assert line.startswith(f"{key}: attempts came to different results")


def test_failures_are_listed_with_their_error_and_their_file(tmp_path):
    place = write_study(tmp_path, small_study(("ce", "l2rw")), lambda spec: OSError("no such disk"))
    write_report(place)
    text = read(place, "report.html")
    links = re.findall(r'href="(trials/[^"]*traceback\.txt)"', text)
    assert len(links) == 4
    assert all("no such disk" in (tmp_path / link).read_text() for link in links)
    assert text.count("code error: OSError: no such disk") == 4
    assert not any(figure.views for figure in figures_of(place).values())


def test_diverged_runs_are_listed_and_lie_on_the_floor(tmp_path):
    def outcome(spec):
        bad = spec["arm"] == "gce" and spec["config"]["q"] != 0.7 and spec["role"] == "search"
        return diverged(spec) if bad else completed(spec)

    place = write_study(tmp_path, small_study(("ce", "gce", "l2rw")), outcome)
    (report,) = [study_report(place)]
    assert {f["text"].partition(":")[0] for f in report.failures} == {"diverged"}
    assert all((tmp_path / f["file"]).exists() for f in report.failures)
    (panel,) = figures_of(place)["hyperparameters"].views["gce"]
    crosses = next(t for t in panel.data if t["name"] == "diverged")
    rest = [y for t in panel.data if t["name"] != "diverged" for y in t["y"]]
    assert set(crosses["y"]) == {min(rest)}


def test_suspects_are_linked_once_they_are_written(tmp_path):
    place = write_study(tmp_path, small_study(("ce",)))
    write_report(place)
    assert "<code>run_sweep.py suspects</code>" in read(place, "report.html")
    sheet = {"arm": "ce", "evidence": "None.", "labels": 0, "first": []}
    (tmp_path / "suspects.json").write_text(json.dumps(sheet))
    write_report(place)
    assert re.findall('href="(suspects[^"]*)"', read(place, "report.html")) == ["suspects.csv"]


# ---- several protocols


def test_studies_that_differ_in_clean_labels_are_compared(tmp_path):
    places = []
    for meta in (50, 20):
        protocol = DIGITS | {"splits": DIGITS["splits"] | {"meta": meta}}
        raw = {"name": f"meta-{meta}", "protocol": protocol}
        request = {"arms": ["ce", "l2rw"], "trials": 1, "repeats": 2, "seeds": 1}
        study = parse_study(raw | {"request": request}, "x")
        places.append(write_study(tmp_path / str(meta), study))
    written = write_report(places)
    assert f"{places[0]}/report.html" in written and f"{places[1]}/report.html" not in written
    text = read(places[0], "report.html")
    assert "meta-50" in text and "meta-20" in text and 'href="../20/results.csv"' in text
    figures = drawn_on(text)
    (panel,) = next(f for f in figures if f["id"] == "clean-labels")["views"]["meta-20 and 1 more"]
    assert [(t["name"], t["x"]) for t in panel["data"]] == [("ce", [20, 50]), ("l2rw", [20, 50])]
    assert "no two of these studies differ in noise.rate alone" in text


# ---- size


def test_the_page_of_500_trials_is_one_file_of_at_most_15_mb_without_links_to_the_network(
    tmp_path,
):
    place = write_study(tmp_path, large_study())
    text = page([study_report(place)])
    assert len(list((tmp_path / "trials").iterdir())) >= 500
    assert len(text.encode()) <= 15e6
    ours = text.replace(get_plotlyjs(), "")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", ours)

"""The report: its files agree with results.json, and say what they do not know."""

import csv
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from pipelines.errors import UserError
from pipelines.report.pages import json_script, markdown_cell, page, write_report
from pipelines.report.study_report import study_report
from pipelines.report.study_state import load_study_state
from pipelines.report.tables import rows, score
from pipelines.study.study_file import parse_study
from tests.conftest import DIGITS, small_study
from tests.support.synthetic_ledger import completed, large_study, write_study

HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script> | *a* & b"


def read(storage: str, name: str) -> str:
    return (Path(storage) / name).read_text()


def drawn_on(page_text: str) -> Any:
    """The figures of a page, as its script reads them."""
    return json.loads(page_text.split('id="figures">')[1].split("</script>", maxsplit=1)[0])


# ---- the files


def test_numbers_texts_and_page_lie_in_the_study_s_directory(tmp_path):
    storage = write_study(tmp_path, small_study(("ce", "gce")))
    names = ["results.json", "results.csv", "trials.csv", "report.md"]
    names += ["methods.tex", "methods.bib", "report.html"]
    assert write_report(storage) == [f"{storage}/{name}" for name in names]
    assert all((tmp_path / name).stat().st_size for name in names)


def test_results_json_holds_the_results(finished):
    assert json.loads(read(finished, "results.json")) == load_study_state(finished)[1].results()


def test_a_storage_without_a_study_is_the_user_s_mistake(tmp_path):
    with pytest.raises(UserError, match="holds no study"):
        write_report(str(tmp_path))


def test_each_question_of_the_text_has_its_answer_in_a_few_words(finished):
    lines = [line for line in read(finished, "report.md").splitlines() if line.startswith("- **")]
    (cost,) = [line for line in lines if "What did it cost?" in line]
    trials = len(load_study_state(finished)[1].trials)
    assert re.match(rf"- \*\*What did it cost\?\*\* \d.*, {trials} trials\. Computing time", cost)


def test_tables_show_the_numbers_of_results_json(finished):
    results = json.loads(read(finished, "results.json"))
    lines = [line.split("|") for line in read(finished, "report.md").splitlines()]
    table = {cells[1].strip(): [c.strip() for c in cells] for cells in lines if len(cells) == 14}
    csv_rows = csv.DictReader(io.StringIO(read(finished, "results.csv")))
    csv_table = {row["arm"]: row for row in csv_rows}
    page_text = html.unescape(re.sub(r"<[^>]*>", "", read(finished, "report.html")))
    for name, arm in results["arms"].items():
        test = arm["test"]["last"]
        shown = f"{100 * test['mean']:.1f} ± {100 * (test['high'] - test['mean']):.1f}"
        assert table[name.replace("_", r"\_")][3] == shown
        assert float(csv_table[name]["test_last_mean"]) == test["mean"]
        assert shown in page_text
    assert all(sentence in page_text for sentence in results["headline"]["sentences"])
    assert all(line["text"] in page_text for line in results["answer"]["lines"])


def test_break_even_stands_beside_the_arms_it_is_about(finished):
    results = load_study_state(finished)[1].results()
    ours, theirs = results["headline"]["untuned"], results["headline"]["tuned"]
    pair = next(p for p in results["pairs"] if (p["untuned"], p["tuned"]) == (ours, theirs))
    shown = {row["arm"].text: row["break_even"].text for row in rows(results)}
    end = pair["break_even"]["low"]
    assert shown[ours] == shown[theirs]
    assert shown[ours].split(" [")[1].startswith(f"{'> 3' if end is None else end},")


def test_an_estimate_without_interval_says_so():
    estimate = {"mean": 0.5, "low": None, "high": None, "sd": 0.1, "n": 3, "repeats": 3}
    assert score("accuracy", estimate) == "50.0 (too few repeats)"
    assert score("accuracy", estimate | {"sd": 0.0}) == "50.0 (the same in all repeats)"
    assert score("nll", estimate | {"low": 0.25, "high": 0.75}) == "0.500 ± 0.250"
    assert score("accuracy", estimate | {"mean": None}) == "–"
    cut_off = estimate | {"mean": 0.995, "low": 0.987, "high": 1.0}
    assert score("accuracy", cut_off) == "99.5 [98.7, 100.0]"


# ---- text is text


def test_text_from_users_is_escaped(tmp_path):
    raw = {"name": "hostile", "about": HOSTILE, "protocol": DIGITS}
    study = parse_study(
        raw | {"request": {"arms": ["ce", "gce", "l2rw"], "trials": 1, "repeats": 1}}, "x"
    )
    storage = write_study(
        tmp_path,
        study,
        lambda spec: (
            ValueError(HOSTILE)
            if spec["arm"] == "gce"
            else completed(spec, [HOSTILE, "<b>one</b>"])
        ),
    )
    write_report(storage)
    text = read(storage, "report.html")
    assert "<img src=x" not in text and "alert(2)</script>" not in text
    assert text.count("</script>") == 4
    data = drawn_on(text)
    assert "&lt;b&gt;one&lt;/b&gt;" in json.dumps(data)  # Plotly would take tags for markup


def test_json_cannot_end_its_script_element():
    assert json.loads(json_script(HOSTILE)) == HOSTILE
    assert "<" not in json_script(HOSTILE)


def test_markdown_keeps_cells_and_markup_apart(tmp_path):
    assert markdown_cell("a|b *c*\n<d>") == r"a\|b \*c\* \<d\>"
    write_report(write_study(tmp_path, small_study()))
    lines = [line for line in read(str(tmp_path), "report.md").splitlines() if line.startswith("|")]
    arms, rules = 2 + 3, 2 + 5  # with headings; of the second table: for early stopping
    assert [line.count("|") for line in lines] == [13] * arms + [8] * rules


# ---- several protocols


def test_studies_that_differ_in_clean_labels_are_compared(tmp_path):
    storages = []
    for meta in (50, 20):
        protocol = DIGITS | {"splits": DIGITS["splits"] | {"meta": meta}}
        raw = {"name": f"meta-{meta}", "protocol": protocol}
        request = {"arms": ["ce", "l2rw"], "trials": 1, "repeats": 2, "seeds": 1}
        study = parse_study(raw | {"request": request}, "x")
        storages.append(write_study(tmp_path / str(meta), study))
    written = write_report(storages)
    assert f"{storages[0]}/report.html" in written and f"{storages[1]}/report.html" not in written
    text = read(storages[0], "report.html")
    assert "meta-50" in text and "meta-20" in text and 'href="../20/results.csv"' in text
    figures = drawn_on(text)
    (panel,) = next(f for f in figures if f["id"] == "clean-labels")["views"]["meta-20 and 1 more"]
    assert [(t["name"], t["x"]) for t in panel["data"]] == [("ce", [20, 50]), ("l2rw", [20, 50])]
    assert "no two of these studies differ in noise.rate alone" in text


# ---- size


def test_the_page_of_500_trials_is_one_file_of_at_most_8_mb_without_links_to_the_network(
    tmp_path,
):
    storage = write_study(tmp_path, large_study())
    text = page([study_report(storage)])
    assert len(list((tmp_path / "trials").iterdir())) >= 500
    assert len(text.encode()) <= 8e6
    ours = text.replace(get_plotlyjs(), "")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", ours)

"""The contact sheet as a place to verify labels, in a real browser."""

import csv
import json
from pathlib import Path

import pytest

from pipelines.report.pages import write_report
from tests.conftest import small_study
from tests.report.browser import becomes, needs_browser
from tests.support.synthetic_ledger import write_study

pytestmark = [pytest.mark.slow, needs_browser]

CLASSES = ["ant", "bee", "cat"]
LABELS = [("a.png", "ant", "bee"), ('b, "2".png', "bee", "cat"), ("c.png", "ant", "bee")]


@pytest.fixture
def sheet(show, tmp_path):
    storage = write_study(tmp_path, small_study(["ce"], trials=0, repeats=1))
    first = [
        {"name": name, "given": given, "suggested": suggested, "score": 0.5, "true": None}
        | {"image": None, "dissent": 0.4}
        for name, given, suggested in LABELS
    ]
    document = {"arm": "ce", "evidence": "", "labels": 3, "annotators": [], "first": first}
    Path(storage, "suspects.json").write_text(json.dumps(document | {"classes": CLASSES}))
    write_report(storage)
    page = show(f"file://{storage}/report.html")
    yield page
    page.close()


def saved(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Save verified.csv").click()
    assert download.value.suggested_filename == "verified.csv"
    with Path(download.value.path()).open(newline="") as file:
        return list(csv.reader(file))


def says(page):
    return [p.inner_text() for p in page.locator(".sheet .says").all()]


def test_labels_are_verified_by_keyboard_and_saved(sheet):
    sheet.locator(".sheet li").first.focus()
    for key in ("a", "r"):
        sheet.keyboard.press(key)
    assert says(sheet) == ["verified: ant", "verified: cat", ""]
    sheet.keyboard.press("l")
    sheet.keyboard.press("c")  # the select's own way to find an option
    becomes(
        sheet, "document.querySelector('.sheet li:last-child .says').textContent", "verified: cat"
    )
    assert saved(sheet) == [
        ["path", "label"],
        ["a.png", "ant"],
        [LABELS[1][0], "cat"],
        ["c.png", "cat"],
    ]
    assert sheet.locator(".of-labels output").inner_text() == "3 of 3 examples verified"


def test_a_decision_can_be_taken_back_and_outlives_the_page(sheet):
    first = sheet.locator(".sheet li").first
    first.focus()
    sheet.keyboard.press("r")
    sheet.keyboard.press("r")
    sheet.keyboard.press("ArrowLeft")
    sheet.keyboard.press("Backspace")
    assert says(sheet) == ["verified: bee", "", ""]
    sheet.reload()
    sheet.locator(".of-labels output", has_text="1 of 3").wait_for()
    assert says(sheet) == ["verified: bee", "", ""]


def test_a_pair_of_classes_is_shown_alone_and_by_mouse(sheet):
    sheet.locator(".of-labels select").select_option("ant → bee")
    assert sheet.locator(".sheet li:visible").count() == 2
    sheet.locator(".sheet li").last.get_by_role("button", name="is bee").click()
    assert says(sheet)[2] == "verified: bee"
    sheet.locator(".sheet li").first.focus()
    sheet.keyboard.press("ArrowRight")
    becomes(sheet, "document.activeElement.dataset.name", "c.png")

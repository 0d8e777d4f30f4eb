"""The page in a real browser."""

import json
from pathlib import Path

import pytest

from pipelines.report.pages import write_report
from pipelines.study.study_file import parse_study
from tests.conftest import DIGITS
from tests.report.browser import becomes, needs_browser
from tests.support.synthetic_ledger import (
    completed,
    large_study,
    write_study,
)

PLOTS_OF_ANOTHER_WIDTH = """[...document.querySelectorAll(".plot")].filter((plot) => Math.abs(
    plot.querySelector(".main-svg").clientWidth - plot.parentElement.clientWidth) > 1).length"""
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


@pytest.fixture(scope="module")
def page(show, tmp_path_factory):
    """The page of more than 500 trials, which the tests share: opening it takes longest."""
    storage = write_study(tmp_path_factory.mktemp("large"), large_study())
    write_report(storage)
    return show(f"file://{storage}/report.html")


def numbers(page, column: int) -> list[float]:
    cells = page.locator(f"table.arms tbody td:nth-child({column})").all_text_contents()
    return [float(text.split()[0]) for text in cells]


@needs_browser
def test_every_figure_is_drawn(page):
    figures = page.locator("figure")
    assert figures.count() == 15
    for figure in figures.all():
        assert figure.locator(".plot .main-svg").count() >= 1
        assert figure.locator(".plot .plot .trace, .plot .hm, .plot .points").count() >= 1
        assert figure.locator("figcaption").inner_text()


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    becomes(page, "document.documentElement.scrollWidth", width)
    becomes(page, PLOTS_OF_ANOTHER_WIDTH, 0)


@needs_browser
@pytest.mark.parametrize(
    "scheme, ground, text",
    [
        ("dark", "rgb(20, 23, 26)", "rgb(228, 231, 234)"),
        ("light", "rgb(255, 255, 255)", "rgb(28, 32, 36)"),
    ],
)
def test_page_and_figures_follow_the_colour_scheme(page, scheme, ground, text):
    page.emulate_media(color_scheme=scheme)
    becomes(page, "getComputedStyle(document.body).backgroundColor", ground)
    becomes(page, "getComputedStyle(document.querySelector('.xtick text')).fill", text)


@needs_browser
def test_headings_sort_by_click_and_by_keyboard(page):
    heading = page.locator("table.arms th button", has_text="test accuracy")
    heading.click()
    rising = numbers(page, 3)
    assert rising == sorted(rising) and len(rising) == 8
    heading.press("Enter")
    assert numbers(page, 3) == rising[::-1]
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("test accuracy")


@needs_browser
def test_the_table_is_filtered_by_text_and_by_kind(page):
    page.locator("table.arms th button", has_text="arm").click()
    names = page.locator("table.arms tbody tr:visible th")
    page.fill("input[type=search] >> nth=0", "GCE")
    assert names.all_text_contents() == ["gce", "gce_learned", "gce_plus_meta"]
    page.select_option(".filters select", "tuned loss")
    assert names.all_text_contents() == ["gce", "gce_plus_meta"]
    assert page.locator("output").first.inner_text() == "2 of 8 arms"
    page.fill("input[type=search] >> nth=0", "")
    page.select_option(".filters select", "")
    assert names.count() == 8


@needs_browser
def test_views_are_switched_by_the_keyboard(page):
    section = page.locator("section[id$=budget]")
    section.locator("input[value=trials]").focus()
    page.keyboard.press("ArrowRight")
    section.locator(".xtitle", has_text="example passes").wait_for()
    picker = page.locator("section[id$=hyperparameters]")
    picker.get_by_text("sce_plus_meta").click()
    picker.locator(".xtitle", has_text="meta_repeat").wait_for()
    assert picker.locator(".plot").count() == 5  # three hyperparameters, importance, ablation


@needs_browser
def test_the_legend_hides_and_shows_arms(page):
    section = page.locator("section[id$=epochs]")
    section.locator("select").select_option("all arms, by epochs")
    section.locator(".legend button", has_text="finetune").wait_for()
    button = section.locator(".legend button", has_text="mw_net")
    assert section.locator(".plot .scatterlayer .trace").count() == 8
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"
    assert section.locator(".plot .scatterlayer .trace").count() == 7
    button.click()
    assert section.locator(".plot .scatterlayer .trace").count() == 8


@needs_browser
def test_axes_sensitivity_importance_and_every_comparison_are_drawn(show, everything):
    write_report(everything)
    page = show(f"file://{everything}/report.html")
    for name in ("axes", "sensitivity", "hyperparameters"):
        assert page.locator(f"section[id$={name}] .plot .points").count() >= 1
    titles = page.locator("section[id$=hyperparameters] h4").all_text_contents()
    assert titles == ["Importance", "From the default to what was selected"]
    # two hyperparameters, each with its share by PED-ANOVA and by fANOVA, and with what it adds
    assert page.locator("section[id$=hyperparameters] .plot .bars .point").count() == 6
    for name in ("pairs", "controls", "aggregate", "transfer"):
        assert page.locator(f"table.{name} tbody tr").count() >= 1
    heading = page.locator("table.pairs th button", has_text="difference")
    heading.click()
    shown = page.locator("table.pairs tbody td:nth-child(4)").all_text_contents()
    differences = [float(text.split()[0]) for text in shown]
    assert differences == sorted(differences) and len(differences) == 2
    assert page.locator("table.pairs-folded tbody tr").count() == 1  # of unequal clean labels
    page.locator("section[id$=sensitivity] select, section[id$=sensitivity] input").last.wait_for(
        state="attached"
    )
    page.locator("section[id$=sensitivity]").get_by_text("l2rw", exact=True).first.click()
    page.locator("section[id$=sensitivity] .xtitle", has_text="schedule.lr").wait_for()
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        becomes(page, "document.documentElement.scrollWidth", width)


@needs_browser
def test_text_from_users_is_shown_as_text(show, tmp_path):
    request = {"arms": ["ce", "l2rw"], "trials": 1, "repeats": 1, "seeds": 1}
    raw = {"name": "hostile", "about": HOSTILE, "protocol": DIGITS, "request": request}
    storage = write_study(
        tmp_path,
        parse_study(raw, "x"),
        lambda spec: (
            ValueError(HOSTILE) if spec["arm"] == "ce" else completed(spec, [HOSTILE, "<b>one</b>"])
        ),
    )
    suspect = {"name": HOSTILE, "given": HOSTILE, "suggested": HOSTILE, "true": HOSTILE}
    sheet = {"arm": HOSTILE, "evidence": HOSTILE, "labels": 1}
    sheet["first"] = [suspect | {"score": 0.5, "image": None}]
    Path(storage, "suspects.json").write_text(json.dumps(sheet))
    write_report(storage)
    page = show(f"file://{storage}/report.html")
    assert page.locator("img").count() == 0
    assert page.locator(".sheet li").inner_text().count(HOSTILE) == 4
    assert page.locator(".about").inner_text() == HOSTILE
    assert HOSTILE in page.locator("td.error").inner_text()
    ticks = page.locator("section[id$=confusion] .xtick text").all_text_contents()
    assert ticks == [HOSTILE, "<b>one</b>"]


@needs_browser
def test_the_page_prints(page):
    page.emulate_media(media="print", color_scheme="dark")
    becomes(page, "getComputedStyle(document.body).backgroundColor", "rgb(255, 255, 255)")
    becomes(page, "getComputedStyle(document.querySelector('.xtick text')).fill", "rgb(28, 32, 36)")
    assert not page.locator("nav").is_visible()
    page.emulate_media(media="screen", color_scheme="light")

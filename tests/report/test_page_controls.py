"""What one can do on the page, in a real browser: answers, names, files, trials."""

import csv
import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from tests.report.browser import DRAWN, READY, becomes, needs_browser

pytestmark = pytest.mark.slow

NAMES = """[...document.querySelectorAll("section[id$=cost] .annotation-text-g")].map((name) => {
    const box = name.getBoundingClientRect();
    return [box.left, box.right, box.top, box.bottom];
})"""

OWN_AND_COLUMN = """[...document.querySelectorAll("dialog .plot")].map((plot) =>
    [plot.querySelector(".main-svg").clientWidth, plot.clientWidth])"""


@pytest.fixture(scope="module")
def page(show, finished):
    """The page of a full study."""
    return show(f"file://{finished}/report.html")


def downloaded(page, section: str, kind: str):
    """What a figure's button saves: the file's name and its path."""
    with page.expect_download() as download:
        page.locator(f"section[id$={section}] .files button", has_text=kind).click()
    return download.value.suggested_filename, Path(download.value.path())


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", [(1280, 900), (390, 844)])
def test_six_answers_stand_on_the_first_screen(show, finished, width, height, scheme):
    page = show(f"file://{finished}/report.html")
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    page.reload()
    page.wait_for_selector(READY)
    answers = page.locator(".answer strong")
    assert answers.count() == 6
    for answer in answers.all():
        box = answer.bounding_box()
        assert answer.inner_text() and box["y"] + box["height"] <= height
    page.close()


#: Notes, when the page says that it is ready, how much is drawn and how long it is.
AT_READY = """new MutationObserver((_, watcher) => {
    if (!document.documentElement.dataset.ready) return;
    watcher.disconnect();
    window.then = {drawn: document.querySelectorAll(".plot .main-svg").length,
                   height: document.documentElement.scrollHeight};
}).observe(document, {attributes: true, subtree: true, attributeFilter: ["data-ready"]})"""


@needs_browser
def test_the_page_is_ready_before_figures_out_of_sight_are_drawn_and_nothing_moves(show, finished):
    page = show(f"file://{finished}/report.html")
    page.add_init_script(AT_READY)
    page.reload()
    page.wait_for_selector(DRAWN)
    then = page.evaluate("window.then")
    assert then["drawn"] < page.locator(".plot .main-svg").count()
    assert then["height"] == page.evaluate("document.documentElement.scrollHeight")
    page.close()


@needs_browser
def test_an_answer_is_told_in_full_where_it_is_asked_for(show, finished):
    page = show(f"file://{finished}/report.html")
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    page.wait_for_selector(READY)
    line = page.locator(".answer details").first
    assert not line.locator("p").is_visible()
    line.locator("summary").press("Enter")
    assert line.locator("p").inner_text()
    page.close()


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_names_at_points_cover_each_other_nowhere(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(500)
    boxes = page.evaluate(NAMES)
    assert len(boxes) >= 5
    for i, (left, right, top, bottom) in enumerate(boxes):
        for other in boxes[:i]:
            apart = right <= other[0] or other[1] <= left or bottom <= other[2] or other[3] <= top
            assert apart, (i, width)
    page.set_viewport_size({"width": 1280, "height": 900})


@needs_browser
def test_a_figure_is_saved_as_pictures_on_white(page):
    page.emulate_media(color_scheme="dark")
    name, path = downloaded(page, "confusion", "SVG")
    assert name.startswith("small-confusion-") and name.endswith(".svg")
    drawing = ElementTree.parse(path).getroot()
    assert drawing.find("{http://www.w3.org/2000/svg}rect").attrib["fill"] == "#fff"
    assert "recall" in "".join(drawing.itertext())  # both of its panels
    name, path = downloaded(page, "cost", "PNG")
    with Image.open(path) as picture:
        assert name == "small-cost-passes.png" and picture.width >= 1280
        assert picture.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
    page.emulate_media(color_scheme="light")


@needs_browser
def test_a_figure_is_saved_as_the_numbers_of_all_its_views(page):
    name, path = downloaded(page, "gain", "CSV")
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert name == "small-gain.csv"
    assert {row["view"] for row in rows} == {"trials", "passes", "seconds"}
    curve = [r for r in rows if r["view"] == "trials" and r["series"] == "gce_plus_meta"]
    assert {"0", "1", "3"} <= {row["x"] for row in curve}
    ends = [(float(r["low"]), float(r["y"]), float(r["high"])) for r in curve if r["low"]]
    assert len(ends) >= 4 and all(low <= y <= high for low, y, high in ends)


@needs_browser
def test_the_table_of_trials_is_filtered_and_sorted(page):
    section = page.locator("section[id$=trials]")
    section.locator("details").evaluate("(fold) => { fold.open = true; }")
    rows = section.locator("tbody tr")
    section.locator("select[name$=arm]").select_option("gce")
    section.locator("select[name$=role]").select_option("search")
    assert rows.count() == 3 * 4 and "12 of" in section.locator("output").inner_text()
    section.locator("thead button", has_text="val").click()
    values = [float(v) for v in section.locator("tbody td:nth-child(6)").all_text_contents()]
    assert values == sorted(values)
    section.locator("thead button", has_text="val").press("Enter")
    values = [float(v) for v in section.locator("tbody td:nth-child(6)").all_text_contents()]
    assert values == sorted(values, reverse=True)
    section.locator("input").fill("q 0.7")
    assert 0 < rows.count() < 12


@needs_browser
def test_a_trial_opens_with_its_curves_configuration_weights_and_files(page):
    section = page.locator("section[id$=trials]")
    section.locator("details").evaluate("(fold) => { fold.open = true; }")
    section.locator("input").fill("")
    section.locator("select[name$=arm]").select_option("l2rw")
    section.locator("select[name$=role]").select_option("final")
    section.locator("tbody a").first.click()
    view = page.locator("dialog.trial")
    view.locator(".plot").nth(2).wait_for()
    assert view.locator("h2").inner_text().startswith("l2rw: final, repeat ")
    page.wait_for_selector("dialog .plot >> nth=2 >> .main-svg >> nth=0")
    widths = page.evaluate(OWN_AND_COLUMN)
    assert len(widths) == 3 and all(own <= column + 1 for own, column in widths)
    assert "completed" in view.locator("dl").inner_text()
    links = view.locator(".links a").all_text_contents()
    assert links == ["spec.json", "result.json", "history.json", "directory"]
    view.get_by_label("Close").click()
    assert not view.is_visible()
    becomes(page, "location.hash", "")


@needs_browser
def test_a_link_leads_straight_to_a_trial(show, finished):
    key = next(path.name for path in Path(finished, "trials").iterdir() if "mw_net" in path.name)
    page = show(f"file://{finished}/report.html#trial-study-0-{key}")
    assert page.locator("dialog.trial h2").inner_text().startswith("mw_net: ")
    page.close()


@needs_browser
def test_a_long_legend_is_folded(page):
    section = page.locator("section[id$=budget]")
    assert section.locator(".legend > button").count() == 2
    section.locator(".legend summary", has_text="6 more").click()
    section.locator(".legend button", has_text="finetune").click()
    assert section.locator(".plot .scatterlayer .trace").count() >= 5


@needs_browser
def test_in_the_dark_a_matrix_is_dark(page):
    cell = """document.querySelector("section[id$=confusion] .plot")._fullData[0].colorscale"""
    assert page.evaluate(cell)[1] == [0.5, "#fff"] or page.evaluate(cell)[1][1] in (
        "#fff",
        "#ffffff",
    )
    page.emulate_media(color_scheme="dark")
    becomes(page, f"{cell}[1][1]", "#14171a")
    page.emulate_media(color_scheme="light")

"""The dashboard serves the page of a running study, renews it, and serves nothing else."""

import re
import urllib.error
import urllib.request

import pytest

from pipelines.errors import UserError
from pipelines.report import dashboard
from pipelines.report.dashboard import Dashboard
from pipelines.report.pages import write_report
from tests.conftest import small_study
from tests.report.browser import PATIENCE, READY, becomes, needs_browser
from tests.report.conftest import Serve
from tests.support.synthetic_ledger import write_study

TOP_OF_TABLE = "Math.round(document.querySelector('table.arms').getBoundingClientRect().top)"


@pytest.fixture
def address(serve: Serve, monkeypatch):
    """Serves studies until the test ends; gives the address."""
    monkeypatch.setattr(dashboard, "LOOK_SECONDS", 0.0)
    return lambda *storages: f"http://127.0.0.1:{serve(Dashboard(storages))}/"


def fetch(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()


def refused(url: str) -> int:
    with pytest.raises(urllib.error.HTTPError) as error:
        fetch(url)
    error.value.close()
    return error.value.code


def test_a_dashboard_needs_a_study(tmp_path):
    with pytest.raises(UserError, match="holds no study"):
        Dashboard([str(tmp_path)])


def test_the_version_changes_with_the_ledger_only(tmp_path, address):
    url = address(write_study(tmp_path, small_study(), limit=3))
    before = fetch(url + "version")
    assert f'data-version="{before}"' in fetch(url)
    assert fetch(url + "version") == before
    write_study(tmp_path, small_study())
    assert fetch(url + "version") != before
    assert "20 of 20 runs have ended" in fetch(url)


def test_only_what_the_page_links_to_is_served(tmp_path, address):
    storage = write_study(tmp_path, small_study(("ce",)), lambda spec: OSError("no such disk"))
    write_report(storage)
    url = address(storage)
    (link, *_) = re.findall(r'href="(trials/[^"]*)"', fetch(url))
    assert "no such disk" in fetch(url + link)
    assert fetch(url + "results.csv") == (tmp_path / "results.csv").read_text()
    (tmp_path / "suspects.csv").write_text("a table")
    assert fetch(url + "suspects.csv") == "a table"
    for path in ("study.json", "trials/../study.json", "%2e%2e/secret", "trials//etc/passwd"):
        assert refused(url + path) == 404


@needs_browser
def test_a_served_page_renews_itself_and_keeps_its_place(tmp_path, address, show):
    url = address(write_study(tmp_path, small_study(("ce", "gce", "l2rw")), limit=6))
    page = show(url)
    page.fill("input[type=search]", "ce")
    page.locator("table.arms th button", has_text="n").last.click()
    page.evaluate("scrollTo({ top: 300, behavior: 'instant' })")
    top = page.evaluate(TOP_OF_TABLE)
    write_study(tmp_path, small_study(("ce", "gce", "l2rw")))
    page.get_by_text("20 of 20 runs have ended").wait_for(timeout=PATIENCE)
    page.wait_for_selector(READY, timeout=PATIENCE)
    becomes(page, TOP_OF_TABLE, top)
    assert page.locator("th[aria-sort=ascending]").count() == 1
    assert page.locator("input[type=search]").input_value() == "ce"
    assert page.locator("table.arms tbody tr:visible").count() == 2

"""The dashboard serves the page of a running study, renews it, and serves nothing else."""

import json
import os
import re
import urllib.error
import urllib.request

import pytest

from pipelines.errors import UserError
from pipelines.execution.live import live_view
from pipelines.ledger import attempt
from pipelines.report import dashboard
from pipelines.report.dashboard import Dashboard
from pipelines.report.pages import write_report
from pipelines.report.study_state import load_study_state
from tests.conftest import small_study
from tests.report.browser import DRAWN, PATIENCE, READY, becomes, needs_browser
from tests.report.conftest import Serve
from tests.support.synthetic_ledger import completed, write_study

TO_THE_ARMS = "document.querySelector('section[id$=arms]').scrollIntoView({behavior: 'instant'})"
TOP_OF_ARMS = "Math.round(document.querySelector('section[id$=arms]').getBoundingClientRect().top)"


@pytest.fixture
def address(serve: Serve, monkeypatch):
    """Serves studies until the test ends; gives the address."""
    monkeypatch.setattr(dashboard, "LOOK_SECONDS", 0.0)
    return lambda *storages: f"http://127.0.0.1:{serve(Dashboard(storages, live_view))}/"


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
        Dashboard([str(tmp_path)], live_view)


def test_the_version_changes_with_the_ledger_only(tmp_path, address):
    url = address(write_study(tmp_path, small_study(), limit=3))
    before = fetch(url + "version")
    assert f'data-version="{before}"' in fetch(url + "report")
    assert fetch(url + "version") == before
    write_study(tmp_path, small_study())
    assert fetch(url + "version") != before
    assert "20 of 20 runs have ended" in fetch(url + "report")


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
    page = show(url + "report")
    page.locator("input[type=search]").first.fill("ce")
    page.locator("table.arms th button", has_text="n").last.click()
    page.evaluate(TO_THE_ARMS)
    top = page.evaluate(TOP_OF_ARMS)
    write_study(tmp_path, small_study(("ce", "gce", "l2rw")))
    page.get_by_text("20 of 20 runs have ended").wait_for(timeout=PATIENCE)
    page.wait_for_selector(DRAWN, timeout=PATIENCE)
    becomes(page, TOP_OF_ARMS, top)
    assert page.locator("th[aria-sort=ascending]").count() == 1
    assert page.locator("input[type=search]").first.input_value() == "ce"
    assert page.locator("table.arms tbody tr:visible").count() == 2
    page.close()  # before the dashboard goes


def test_a_study_that_is_not_finished_is_shown_live_and_a_finished_one_by_its_report(
    tmp_path, address
):
    url = address(write_study(tmp_path, small_study(), limit=3))
    assert "live.json" in fetch(url) and len(fetch(url)) < 50_000
    [view] = json.loads(fetch(url + "live.json"))
    assert (view["done"], view["planned"]) == (3, 20)
    write_study(tmp_path, small_study())
    assert "20 of 20 runs have ended" in fetch(url)


def test_what_a_running_trial_shows_renews_the_live_page_and_not_the_report(
    tmp_path, address, monkeypatch
):
    monkeypatch.setattr(attempt, "SHOW_SECONDS", 0.0)
    url = address(write_study(tmp_path, small_study(), limit=3))
    ledger, study_state = load_study_state(str(tmp_path))
    with ledger.acquire_lease():
        spec = study_state.planner.ask()
        ledger.add_trial(spec)
        running = ledger.attempt(spec["key"], ledger.new_attempt(spec["key"]))
        running.begin()
        version = fetch(url + "version")
        for epochs in (1, 2):
            running.show([{"epoch": e, "val/accuracy": 0.5} for e in range(1, epochs + 1)])
            [view] = json.loads(fetch(url + "live.json"))
            assert [trial["epoch"] for trial in view["running"]] == [epochs]
            assert fetch(url + "version") == version


@pytest.mark.slow
@needs_browser
def test_the_live_page_follows_the_study_without_being_loaded_again(
    tmp_path, address, show, monkeypatch
):
    monkeypatch.setattr(attempt, "SHOW_SECONDS", 0.0)
    study = small_study(("ce", "gce", "l2rw"))

    def outcome(spec):
        return RuntimeError("<b>bold</b>") if spec["arm"] == "l2rw" else completed(spec)

    page = show(address(write_study(tmp_path, study, outcome, limit=6)), READY)
    page.evaluate("document.body.dataset.kept = 'yes'")
    ledger, study_state = load_study_state(str(tmp_path))
    assert page.locator(".state").inner_text() == "stopped"
    with ledger.acquire_lease():
        spec = study_state.planner.ask()
        ledger.add_trial(spec)
        running = ledger.attempt(spec["key"], ledger.new_attempt(spec["key"]))
        running.begin()
        page.locator(".card", has_text="its curve comes").wait_for(timeout=PATIENCE)
        running.show([{"epoch": e, "val/accuracy": 0.2 * e} for e in (1, 2)])
        page.locator(".card polyline").wait_for(timeout=PATIENCE)
        assert "epoch 2 of 3, val 0.400" in page.locator(".card").inner_text()
        assert page.locator(".state").inner_text() == "running"
        assert page.locator(".machines").inner_text() == f"Runs by machine: {os.uname().nodename} 1"
        write_study(tmp_path, study, outcome, limit=8)
        page.get_by_text("an hour since this page was opened").wait_for(timeout=PATIENCE)
    write_study(tmp_path, study, outcome)
    page.get_by_text("20 of 20 runs").wait_for(timeout=PATIENCE)
    assert page.locator(".state").inner_text() == "complete"
    assert "<b>bold</b>" in page.locator(".wrong").inner_text()
    assert page.evaluate("document.body.dataset.kept") == "yes"
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
    page.close()  # before the dashboard goes

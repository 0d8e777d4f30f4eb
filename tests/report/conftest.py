"""What the tests of the report share: a finished study of all kinds of arms, and a browser."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipelines.report.dashboard_server import DashboardServer
from pipelines.report.pages import write_report
from tests.conftest import small_study
from tests.report.browser import CHROMIUM, DRAWN, PATIENCE
from tests.support.synthetic_ledger import (
    ARMS_OF_ALL_KINDS,
    study_of_everything,
    with_known_knobs,
    write_study,
)

Serve = Callable[[Any], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves a dashboard until the test ends; gives the port."""
    running: list[tuple[DashboardServer, threading.Thread]] = []

    def serve(dashboard: Any) -> int:
        server = DashboardServer(dashboard)
        thread = threading.Thread(target=server.run)
        thread.start()
        running.append((server, thread))
        return server.port

    yield serve
    for server, thread in running:
        server.stop()
        thread.join()


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> str:
    """The study's storage; its report is written."""
    study = small_study(ARMS_OF_ALL_KINDS, trials=3, repeats=3, seeds=2)
    storage = write_study(tmp_path_factory.mktemp("finished"), study)
    write_report(storage)
    return storage


@pytest.fixture(scope="session")
def everything(tmp_path_factory) -> str:
    """The storage of a study with axes and sensitivity runs, of known scores."""
    storage = tmp_path_factory.mktemp("everything")
    return write_study(storage, study_of_everything(), with_known_knobs)


@pytest.fixture(scope="module")
def show():
    """Opens a page; in the end asserts that nothing was said on a console and no script ran."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    said = []

    def show(url: str, until: str = DRAWN):
        page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append("a script ran"))
        page.goto(url)
        page.wait_for_selector(until, timeout=PATIENCE)
        return page

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield show
        browser.close()
    assert said == []

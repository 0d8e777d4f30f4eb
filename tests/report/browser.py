"""A real browser, for the tests that need one."""

import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH")

READY = "html[data-ready=true]"  # the text and the figures in sight
DRAWN = "html[data-drawn=true]"  # all figures
PATIENCE = 10_000  # ms; the page of 500 trials is ready in 2-3 s on an idle machine


def becomes(page, expression: str, value) -> None:
    """Waits until an expression has a value; the page's own policy forbids it to evaluate text."""
    for _ in range(50):
        if page.evaluate(expression) == value:
            return
        page.wait_for_timeout(100)
    assert page.evaluate(expression) == value

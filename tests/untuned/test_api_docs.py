"""docs/api.md works as it stands."""

import re
from pathlib import Path

import pytest

import untuned

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str) -> list[str]:
    """The Python code of a page of the docs, block by block."""
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> dict:
    """What the code of docs/api.md leaves behind when it is run from top to bottom."""
    found: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("api"))
        for block in blocks("api.md"):
            exec(block, found)
    return found


def test_the_code_of_the_api_docs_runs(names):
    assert names["results"].study.name == "tiny" and len(names["tried"]) == 6
    assert names["arms"]["test.last.mean"].between(0, 1).all()


def test_the_hypergradient_of_the_api_docs_is_not_zero(names):
    assert names["grad"].abs() > 1e-5


def test_the_api_docs_show_every_function_of_the_public_face():
    text = (DOCS / "api.md").read_text()
    functions = {"load_study", "launch", "open_study", "load_model", "load_objective"}
    others = {"hypergradient", "make_batch", "PhaseInfo", "UserError", "Interrupted"}
    for name in functions | others:
        assert name in dir(untuned) and f"untuned.{name}" in text, name


def test_a_loop_of_ones_own_takes_ten_lines_or_so():
    [loop] = [block for block in blocks("api.md") if "enumerate" in block]
    assert len(loop.partition("for step")[2].strip().splitlines()) <= 11

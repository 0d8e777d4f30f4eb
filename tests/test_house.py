"""Sizes that keep the code easy to read, and words on every door."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("methods", "search_spaces", "pipelines", "untuned", "benchmarks")
MODULES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
PACKAGES = [path for path in MODULES if path.name == "__init__.py"]
MODULES.append(ROOT / "run_sweep.py")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_has_300_lines_at_most_and_a_function_60(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


@pytest.mark.parametrize("path", PACKAGES, ids=name)
def test_a_package_says_what_lives_there(path):
    assert ast.get_docstring(ast.parse(path.read_text()))

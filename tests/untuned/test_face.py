"""`import untuned` is quick, and gives what it says."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import untuned

ROOT = Path(__file__).parents[2]


def test_importing_untuned_loads_nothing_else():
    code = "import sys, untuned; print([m for m in sys.modules if m.partition('.')[0] in {named}])"
    named = ("torch", "numpy", "pandas", "ray", "wandb", "pydantic", "pipelines", "methods")
    command = [sys.executable, "-c", code.replace("{named}", str(named))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_public_name_is_there():
    for name in dir(untuned):
        assert getattr(untuned, name) is not None


def test_type_checkers_see_the_names_that_there_are():
    tree = ast.parse((ROOT / "untuned" / "__init__.py").read_text())
    [block] = [n for n in tree.body if isinstance(n, ast.If)]
    imports = {
        node.module: tuple(alias.name for alias in node.names)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }
    assert imports == untuned._HOMES


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'untuned' has no attribute 'Objectiv'"):
        _ = untuned.Objectiv


def test_the_version_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert untuned.__version__ == project["version"]

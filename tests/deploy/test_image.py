"""deploy/Dockerfile, step by step in an empty Debian: no image is built, but all its commands run.

Run by `make test-cluster`; needs root, Debian's package debootstrap, Debian's mirror, and whatever
index pip has here, of which it fetches all packages, torch too.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import untuned
from tests.support.clean_root import CleanRoot, instructions, missing
from tests.support.launches import ROOT

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
[BASE] = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
[PYTHON] = re.findall(r"^ARG PYTHON=(\S+)", DOCKERFILE, re.MULTILINE)
BROUGHT = {"pip", "setuptools", "untuned"}  # what no constraint names
REHEARSAL = "untuned launch digits --quick --arms ce --executor inline --wandb disabled"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of this one as it is now, in which `make wheel` has been run."""
    tracked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(tracked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist"]
    subprocess.run([*wheel, "."], cwd=tmp_path, check=True)
    return tmp_path


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CleanRoot]:
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("root") / "image"
    try:
        yield CleanRoot(folder, suite=BASE.rpartition("-")[2])
    except AssertionError as error:
        pytest.skip(f"no empty Debian here: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # gigabytes


def test_instructions_are_read_without_comments_and_with_lines_that_go_on():
    text = "# about\nFROM a AS b\n\n# why\nRUN one \\\n    && two\n"
    assert instructions(text) == [("FROM", "a AS b"), ("RUN", "one      && two")]


@pytest.mark.cluster
def test_the_steps_of_the_image_run_in_an_empty_debian_and_its_user_can_work(
    clone: Path, root: CleanRoot
):
    assert root.run("python", "--version").startswith(f"Python {PYTHON}.")
    shows = root.build(DOCKERFILE, clone)
    assert "launch" in root.run(*shows)
    assert root.run("id", "-u").strip() == "1000" and root.run("pwd").strip() == "/home/untuned"
    assert root.run("untuned", "--version").strip() == f"untuned {untuned.__version__}"
    assert "nothing to put right" in root.run("untuned", "doctor", "runs/digits")
    assert "arm" in root.run("sh", "-c", REHEARSAL)
    root.run("python", "-c", "import ray.dashboard.optional_deps")  # `ray job submit`, the exporter
    root.run("wget", "--version")
    installed = root.run("python", "-m", "pip", "list", "--format=freeze")
    assert unpinned(installed, (clone / "constraints.txt").read_text()) <= BROUGHT


def unpinned(installed: str, constraints: str) -> set[str]:
    """Packages that are there in another version than `constraints` has, or are not in it."""
    one = re.compile(r"^([\w.-]+)==([\w.]+)", re.MULTILINE)  # without +cpu
    pinned, there = (
        {(canonical(n), v) for n, v in one.findall(t)} for t in (constraints, installed)
    )
    return {name for name, _ in there - pinned}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

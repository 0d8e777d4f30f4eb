"""The docs name what there is."""

import pkgutil
import re
from dataclasses import replace
from inspect import get_annotations
from pathlib import Path

import pytest
import torch

import untuned
from methods.objective import PhaseInfo
from methods.threat import Threat
from pipelines.study.arms import known_arms, resolve_arm
from pipelines.study.method_loading import build_method
from pipelines.study.search_space import describe_distribution

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
TOP = ("methods", "search_spaces", "untuned")
FOLDERS = (*TOP, "pipelines", "tests", "benchmarks", "deploy")


def rows(page: str) -> list[list[str]]:
    """Cells of the tables of a page, without their heads."""
    lines = (DOCS / page).read_text().splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    return [row for row in cells if row[-1] not in ("in the code", "---")]


@pytest.mark.parametrize("row", rows("glossary.md"), ids=lambda row: row[0])
def test_each_word_of_the_glossary_is_in_the_code(row):
    _, meaning, home = row
    name = home.strip("`")
    assert meaning and is_there(name if name.startswith(TOP) else f"pipelines.{name}")


def is_there(name: str) -> bool:
    """Whether a module defines `module:name`, or the field `module:Class.field`."""
    try:
        module = getattr(pkgutil.resolve_name(name), "__module__", None)
        return module in (None, name.partition(":")[0], "typing", "builtins")  # of aliases
    except AttributeError:
        owner, _, field = name.rpartition(".")
        return field in get_annotations(pkgutil.resolve_name(owner))


def test_no_word_of_the_glossary_has_two_meanings():
    words = [word for row in rows("glossary.md") for word in row[0].split(", ")]
    assert {word for word in words if words.count(word) > 1} == set()


@pytest.mark.parametrize("name", known_arms())
def test_every_arm_is_explained_with_its_default_and_its_range(name):
    """A row may name another one whose range it has."""
    table = rows("methods.md")
    [row] = [row for row in table if f"`{name}`" in row[0]]
    arm, own = resolve_arm(name, {}), " ".join(row)
    for value in arm.default.values():
        assert says(own, value), value
    others = [r for r in table for other in re.findall(r"`(\w+)`", own) if f"`{other}`" in r[0]]
    for distribution in arm.space.values():
        d = describe_distribution(distribution)
        for value in d.get("choices") or (d["low"], d["high"]):
            assert any(says(" ".join(r), value) for r in (row, *others)), value


def says(text: str, value: float) -> bool:
    """Whether a text has a number."""
    return bool(re.search(rf"(?<![\d.]){value:g}(?![\d.])", text))


def bytes_of_each_example(name: str) -> int:
    """What an arm's methods remember of one, with ten classes and inputs of one number."""
    n, most = 1000, 0
    labels, ends = torch.arange(n) % 10, torch.ones(1)
    info = PhaseInfo(n, 10, labels, labels.bincount(), features=4, input_shape=(1,))
    info = replace(info, threat=Threat(0.1, "linf", ends, -ends, ends), batch_size=8)
    for phase in resolve_arm(name, {}).resolve({}):
        method = build_method(phase.method, phase.hyperparameters)
        method.bind(info)
        own = [b for b in method.buffers() if b.dim() and len(b) == n]
        most = max(most, sum(b.element_size() * b.numel() for b in own) // n)
    return most


def test_what_arms_remember_of_each_example_is_told_in_bytes():
    """A byte an example is a megabyte at a million."""
    told = {int(row[0]): row[1] for row in rows("methods.md") if row[0].isdecimal()}
    for name in known_arms():
        size = bytes_of_each_example(name)
        family = re.sub(r"^self_paced_.*", "self_paced", name)
        assert {number for number, arms in told.items() if f"`{family}`" in arms} == (
            {size} if size else set()
        ), name


every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@every_page
def test_every_file_that_a_page_links_to_exists(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@every_page
def test_every_path_of_code_that_a_page_names_exists(page):
    for path in re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w/.]*)`", page.read_text()):
        assert (ROOT / path).exists(), path


def test_the_makefile_has_the_targets_that_contributors_are_told_of():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(
        re.findall(r"^    make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    )
    assert len(named) == 6 and named <= targets


def test_the_changelog_tells_of_this_version_or_of_what_is_unreleased():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## Unreleased" in text or f"## {untuned.__version__}" in text

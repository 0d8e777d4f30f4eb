"""Modules of a person's own beside a study file: found, told apart, and missed in one line."""

import re
import sys
from pathlib import Path

import pytest

from pipelines import own_modules
from pipelines.errors import UserError
from pipelines.provenance import ROOT, module_digest

HELPER = "scale = 2\n"
MODULE = "from helper_of_a_test import scale\n\n\nclass Thing:\n    factor = scale\n"


@pytest.fixture(autouse=True)
def _as_before():
    """What one test has loaded and searched is no business of the next."""
    path, searched, loaded = [*sys.path], [*own_modules._searched], {*sys.modules}
    yield
    sys.path[:], own_modules._searched[:] = path, searched
    for name in {*sys.modules} - loaded:
        if name.partition(".")[0].endswith("_of_a_test"):
            del sys.modules[name]
    own_modules.forget_modules()


def folder_with(folder: Path, **texts: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def test_a_module_in_a_folder_that_is_searched_is_found_with_what_it_imports(tmp_path: Path):
    own_modules.search([folder_with(tmp_path, mine_of_a_test=MODULE, helper_of_a_test=HELPER)])
    assert own_modules.load("mine_of_a_test:Thing.factor", "method") == 2


def test_nothing_beside_a_study_file_hides_what_is_installed(tmp_path: Path):
    sys.modules.pop("colorsys", None)
    own_modules.search([folder_with(tmp_path, colorsys="hidden = True", typer="hidden = True")])
    assert callable(own_modules.load("colorsys:rgb_to_hsv", "method"))
    with pytest.raises(UserError, match=r"module 'typer' \(.*site-packages.*\) has no 'hidden'"):
        own_modules.load("typer:hidden", "method")


def test_of_two_studies_with_modules_of_one_name_each_has_its_own(tmp_path: Path):
    one = folder_with(tmp_path / "one", mine_of_a_test=MODULE, helper_of_a_test=HELPER)
    two = folder_with(tmp_path / "two", mine_of_a_test=MODULE, helper_of_a_test="scale = 3")
    digests = []
    for folder, factor in ((one, 2), (two, 3), (one, 2)):
        own_modules.search([folder])
        assert own_modules.load("mine_of_a_test:Thing", "method").factor == factor
        digests.append(module_digest("mine_of_a_test"))
    assert digests[0] == digests[2] != digests[1]


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("", "gone_of_a_test:Thing", r"module 'gone_of_a_test' is neither installed nor in '/"),
        ("", "mine_of_a_test.deeper:Thing", r"module 'mine_of_a_test\.deeper' is neither"),
        ("import gone_of_a_test", "mine_of_a_test:Thing", r"imports 'gone_of_a_test', which is n"),
        ("def f(:", "mine_of_a_test:Thing", r"cannot be imported \(SyntaxError: .*line 1\)"),
        ("raise SystemExit(0)", "mine_of_a_test:Thing", r"cannot be imported \(SystemExit: 0\)"),
        ("1 / 0", "mine_of_a_test:Thing", r"cannot be imported \(ZeroDivisionError: division"),
        ("raise OSError('a\\nb')", "mine_of_a_test:Thing", r"cannot be imported \(OSError: a b\)"),
        ("", "mine_of_a_test:Thing", r"module 'mine_of_a_test' \(/.*\.py\) has no 'Thing'"),
        ("", "mine_of_a_test", "expected module:name"),
        ("", "mine_of_a_test:", "expected module:name"),
        ("", ":Thing", "expected module:name"),
        ("", "../mine_of_a_test:Thing", r"cannot be imported|neither installed"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_line(tmp_path: Path, text, path, says):
    own_modules.search([folder_with(tmp_path, mine_of_a_test=text)])
    with pytest.raises(UserError, match=rf"\Amethod {re.escape(repr(path))}: .*{says}") as told:
        own_modules.load(path, "method")
    assert "\n" not in str(told.value)


def test_the_folder_of_a_module_is_remembered_unless_it_is_installed_or_ours(tmp_path: Path):
    own_modules.search([folder_with(tmp_path, mine_of_a_test=MODULE, helper_of_a_test=HELPER)])
    modules = ["mine_of_a_test", "methods.losses.focal", "typer", "colorsys", "gone_of_a_test"]
    assert own_modules.own_folders(modules) == {"mine_of_a_test": str(tmp_path)}
    assert own_modules.own_folders(["tests.conftest"]) == {"tests.conftest": "."}


@pytest.mark.parametrize("inside", [False, True])
def test_what_is_sent_is_the_module_and_what_it_imports_with_the_same_digest(
    tmp_path: Path, monkeypatch, inside: bool
):
    """Of a study file in the program's own folder, and elsewhere."""
    program = tmp_path / "program" if inside else ROOT
    monkeypatch.setattr(own_modules, "ROOT", program)
    monkeypatch.setattr("pipelines.provenance.ROOT", program)
    folder = folder_with(
        tmp_path / "program" / "studies",
        mine_of_a_test=MODULE,
        helper_of_a_test=HELPER,
        stranger_of_a_test="",
    )
    (folder / "large.npz").touch()
    own_modules.search([folder])
    folders = own_modules.own_folders(["mine_of_a_test"])
    assert folders == {"mine_of_a_test": "studies" if inside else str(folder)}
    there = module_digest("mine_of_a_test")
    copy = tmp_path / "copy"
    own_modules.send(folders, copy)
    sent = copy / ("studies" if inside else "own_modules")
    assert {path.name for path in sent.iterdir()} == {"mine_of_a_test.py", "helper_of_a_test.py"}
    # As on a node, which has nothing but the copy.
    for name in ("mine_of_a_test.py", "helper_of_a_test.py"):
        (folder / name).unlink()
    monkeypatch.setattr(own_modules, "ROOT", copy)
    monkeypatch.setattr("pipelines.provenance.ROOT", copy)
    for module in (own_modules, sys.modules["pipelines.provenance"]):
        monkeypatch.setattr(module, "SENT", copy / "own_modules")
    own_modules.search(folders.values())
    assert module_digest("mine_of_a_test") == there
    assert own_modules.load("mine_of_a_test:Thing", "method").factor == 2

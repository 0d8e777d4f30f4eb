"""What a result says of its origin."""

import ast
from pathlib import Path

from pipelines import provenance
from pipelines.provenance import COMPUTING, code_digest, own_modules

PIPELINES = Path(provenance.__file__).parent
#: What training uses, and no number depends on.
APART = {"errors", "provenance", "setting"}


def imported(module):
    """The modules of pipelines that one of them imports, wherever in it."""
    tree = ast.parse((PIPELINES / f"{module}.py").read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "pipelines":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipelines."):
            found.add(node.module.removeprefix("pipelines."))
    return found


def test_all_that_training_uses_is_in_the_digest():
    reached, waiting = set(), {"training"}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting |= imported(module) - reached - APART
    assert reached == set(COMPUTING)


def test_own_modules_are_those_a_trial_names_outside_of_this_project():
    protocol = {"model": {"name": "nets.wide:make"}, "data": {"source": "digits"}}
    spec = {
        "phases": [{"method": "methods.cross_entropy:CrossEntropy"}, {"method": "mine:Loss"}],
        "change": {"data.source": "theirs:load", "noise.rate": 0.2},
    }
    assert own_modules(spec, protocol) == ("mine", "nets.wide", "theirs")


def test_whatever_a_module_is_it_has_a_digest():
    """Of source, of a compiled file, of nothing that can be found."""
    found = provenance.provenance(("tests.marks", "pydantic_core._pydantic_core", "no.such", ""))
    lengths = {name: len(value) for name, value in found["own"].items()}
    assert lengths == {
        "tests.marks": 64,
        "pydantic_core._pydantic_core": 64,
        "no.such": len("not found"),
        "": len("not found"),
    }


def test_the_digest_is_of_the_code_not_of_its_comments(tmp_path, monkeypatch):
    for package in ("methods", "pipelines"):
        (tmp_path / package).mkdir()
        for file in (PIPELINES.parent / package).glob("*.py"):
            (tmp_path / package / file.name).write_text(file.read_text())
    here = code_digest.__wrapped__()
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    rule = tmp_path / "pipelines" / "forward_mode.py"
    text = rule.read_text()
    digests = []
    for changed in (text, "# a comment\n" + text, text + "\nMORE = 1\n"):
        rule.write_text(changed)
        digests.append(code_digest.__wrapped__())
    assert digests[0] == digests[1] == here != digests[2]

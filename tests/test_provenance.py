"""What a result says of its origin."""

import ast
import platform
import shutil
from pathlib import Path

from pipelines import provenance
from pipelines.provenance import (
    COMPUTING,
    code_digest,
    differing,
    module_digest,
)

PIPELINES = Path(provenance.__file__).parent
#: What training uses, and no number depends on.
APART = {"errors", "documents", "trial_documents", "kinds", "provenance"}


def imported(module):
    """The packages of pipelines that one of them imports, wherever in it."""
    found = set()
    for file in (PIPELINES / module).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipelines."):
                found.add(node.module.split(".")[1])
    return found - {module}


def test_all_that_training_uses_is_in_the_digest():
    reached, waiting = set(), {"training"}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting |= imported(module) - reached - APART
    assert reached == set(COMPUTING)


def test_a_modules_digest_covers_what_it_imports_from_beside_itself(tmp_path, monkeypatch):
    """Also from its own package, and no further: a new method leaves other methods alone."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "apart_of_a_test").mkdir()
    files = {
        "mine_of_a_test": "import torch\nfrom helper_of_a_test import f\n",
        "helper_of_a_test": "from apart_of_a_test import net\nf = 1\n",
        "apart_of_a_test/__init__": "",
        "apart_of_a_test/net": "from . import wide\n",
        "apart_of_a_test/wide": "",
        "stranger_of_a_test": "",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    before = module_digest("mine_of_a_test")
    changing = set()
    for name, text in files.items():
        file = tmp_path / f"{name}.py"
        file.write_text(f"{text}\nMORE = 1\n")
        if module_digest("mine_of_a_test") != before:
            changing.add(name)
        file.write_text(text)
    assert module_digest("mine_of_a_test") == before
    assert changing == files.keys() - {"stranger_of_a_test"}


def test_a_module_in_the_clone_is_not_changed_by_the_pipelines_or_the_public_face():
    assert provenance._beside("benchmarks.step", "run_sweep")
    assert not provenance._beside("pipelines.errors", "run_sweep")
    assert not provenance._beside("untuned", "run_sweep")


def test_code_that_computed_the_same_numbers_does_not_differ():
    here = {"code": code_digest(), "torch": "2", "code of methods.losses.focal": "f"}
    [earlier, *_] = provenance.SAME_NUMBERS
    assert differing({"code": earlier, "torch": "2"}, here) == []
    assert differing({"code": earlier, "torch": "1"}, here) == ["torch"]
    assert differing(here | {"code": "0" * 64}, here) == ["code"]
    changed = here | {"code of methods.losses.focal": "g"}
    assert differing(changed, here) == ["code of methods.losses.focal"]


def test_whatever_a_module_is_it_has_a_digest():
    """Of source, of a compiled file, of nothing that can be found."""
    found = provenance.provenance(
        ("tests.support.marks", "pydantic_core._pydantic_core", "no.such", "")
    )
    lengths = {name: len(value) for name, value in found["own"].items()}
    assert lengths == {
        "tests.support.marks": 64,
        "pydantic_core._pydantic_core": 64,
        "no.such": len("not found"),
        "": len("not found"),
    }


def test_the_digest_is_of_the_code_not_of_its_comments(tmp_path, monkeypatch):
    for package in ("methods", "pipelines"):
        shutil.copytree(PIPELINES.parent / package, tmp_path / package)
    here = code_digest.__wrapped__()
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    rule = tmp_path / "pipelines" / "hypergradient" / "forward_mode.py"
    text = rule.read_text()
    digests = []
    for changed in (text, "# a comment\n" + text, text + "\nMORE = 1\n"):
        rule.write_text(changed)
        digests.append(code_digest.__wrapped__())
    assert digests[0] == digests[1] == here != digests[2]


def test_a_processor_is_told_from_others_of_its_name():
    """They may round another way: two kinds of machines of one name did."""
    cpuinfo = (
        "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\n"
        "model name\t: AMD EPYC\nflags\t\t: fpu sse2 avx avx2 fma\n"
    )
    name = provenance.processor_name
    assert name(f"{cpuinfo}\n{cpuinfo}") == "AMD EPYC, cpu family 25, model 1, AVX2"
    newer = cpuinfo.replace("model\t\t: 1", "model\t\t: 17").replace("avx2", "avx2 avx512f")
    assert name(newer) == "AMD EPYC, cpu family 25, model 17, AVX-512"
    assert name(cpuinfo.replace(" avx2", "")) == "AMD EPYC, cpu family 25, model 1"


def test_a_processor_that_says_nothing_of_itself_has_the_machines_name():
    arm = "processor\t: 0\nBogoMIPS\t: 243.75\nCPU part\t: 0xd0c\n"
    assert provenance.processor_name(arm) == platform.machine()

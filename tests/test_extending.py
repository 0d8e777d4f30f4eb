"""docs/extending.md as it stands: its files and changes, in a copy, run a study of them all."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

ROOT = Path(__file__).parents[1]
DOC = (ROOT / "docs" / "extending.md").read_text()
STUDY = """
protocol:
  data: {{source: npy_folder, path: digits}}
  noise: {{kind: flip, rate: 0.4}}
  splits: {{meta: 50, val: 50, test: 1400}}
  model: {{name: mlp, options: {{hidden: [16]}}}}
  schedule: {{epochs: 4, lr: 0.05, final_lr: 0.01}}
  metric: kappa
request:
  arms: [ce, self_adaptive, self_adaptive_plus_meta, gce_warm]
  trials: 1
  repeats: 1
  seeds: 1
{arms}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOC, re.DOTALL)


def change(root: Path, diff: str) -> str:
    """Apply a diff whose hunks have no line numbers: what it replaces must be there once."""
    name, *hunks = re.split(r"^@@\n", diff, flags=re.MULTILINE)
    path = name.split("+++ b/")[1].strip()
    text = (root / path).read_text()
    for hunk in hunks:
        lines = hunk.splitlines()
        before, after = (
            "".join(f"{line[1:]}\n" for line in lines if line[:1] != sign) for sign in "+-"
        )
        assert text.count(before) == 1, f"{path}: {before}"
        text = text.replace(before, after)
    (root / path).write_text(text)
    return path


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Path:
    """A copy of the repository with everything that the page adds."""
    root = tmp_path_factory.mktemp("extended")
    for name in ("methods", "search_spaces", "pipelines", "untuned", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("run_sweep.py", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    for code in blocks("python"):
        path = code.partition("\n")[0].removeprefix("# ")
        assert not (root / path).exists()
        (root / path).write_text(code.partition("\n")[2])
    for diff in blocks("diff"):
        change(root, diff)
    digits = load_digits()
    (root / "digits").mkdir()
    np.save(root / "digits" / "x.npy", digits.images.astype(np.uint8))
    np.save(root / "digits" / "y.npy", digits.target)
    [arms] = blocks("yaml")
    (root / "study.yaml").write_text(STUDY.format(arms=arms))
    return root


def test_code_that_the_page_quotes_is_the_code():
    for code in blocks("py"):
        path, _, lines = code.partition("\n")
        assert lines in (ROOT / path.removeprefix("# ")).read_text(), path


def run(root: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(root), "UNTUNED_CACHE": str(root / "cache")}
    python = [sys.executable, *command]
    done = subprocess.run(
        python, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def finished(extended: Path) -> dict:
    """results.json of the study."""
    options = ["--storage", "runs", "--executor", "inline", "--wandb", "disabled"]
    run(extended, "run_sweep.py", "launch", "study.yaml", *options)
    return json.loads((extended / "runs" / "results.json").read_text())


@pytest.mark.slow
def test_a_study_of_all_that_the_page_adds_runs(finished):
    assert finished["missing"] == [line for line in finished["missing"] if "1 search;" in line]
    for name in ("ce", "self_adaptive", "self_adaptive_plus_meta", "gce_warm"):
        assert finished["arms"][name]["trials"]["completed"] > 0
    assert finished["metric"] == "kappa"


@pytest.mark.slow
def test_its_report_has_the_new_figure(extended, finished):
    page = (extended / "runs" / "report.html").read_text()
    assert "Val against test" in page and "Cohen&#39;s kappa" in page


@pytest.mark.slow
def test_a_resumed_trial_of_the_method_with_memory_has_the_same_bits(extended, finished):
    key = next(path.name for path in (extended / "runs" / "trials").glob("self_adaptive-*"))
    assert "identical" in run(extended, "run_sweep.py", "trial", "runs", key)


@pytest.mark.slow
@pytest.mark.parametrize("tests", ["tests/methods", "tests/study", "tests/test_metrics.py"])
def test_the_generic_tests_accept_what_the_page_adds(extended, tests):
    run(extended, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests)


@pytest.mark.slow
def test_what_the_page_adds_is_clean(extended):
    run(extended, "-m", "ruff", "check", "methods", "search_spaces", "pipelines")
    run(extended, "-m", "ruff", "format", "--check", "methods", "search_spaces", "pipelines")

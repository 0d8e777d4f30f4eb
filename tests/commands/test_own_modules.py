"""A study with a method, a model and a source of its own beside its file.

Every command finds them, wherever it is called from, and says what is missing where they are not.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.ledger.ledger import Ledger
from tests.conftest import DIGITS
from tests.support.ray_nodes import ray_nodes

ROOT = Path(__file__).parents[2]
MODULES = {
    "ours": """
        from pathlib import Path
        from urllib.parse import quote

        from methods.losses.cross_entropy import CrossEntropy
        from factor import factor

        class Scaled(CrossEntropy):
            def forward(self, outputs, batch):
                if len(batch.y) > 2:  # the driver rehearses a step on two examples
                    (Path(PLACE) / quote(__file__, safe="")).touch()
                return factor * super().forward(outputs, batch)
        """,
    "factor": "factor = 0.5",
    "nets": """
        from torch import nn

        def linear(input_shape, classes):
            return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0] * 64, classes))
        """,
    "texts": """
        from sklearn.datasets import load_digits

        def tickets():
            x, y = load_digits(return_X_y=True)
            return {"x": x[:, None].reshape(-1, 1, 8, 8).astype("uint8"), "y": y}
        """,
}
LAUNCH = ("--wandb", "disabled", "--device", "cpu")


def study_with_modules(folder: Path, seen: Path) -> Path:
    """A study file with its modules beside it; the method leaves word in `seen` of where it lay."""
    folder.mkdir()
    seen.mkdir()
    for name, text in MODULES.items():
        lines = [line.removeprefix(" " * 8) for line in text.splitlines()]
        (folder / f"{name}.py").write_text("\n".join(lines).replace("PLACE", repr(str(seen))))
    mine = {"about": "a", "kind": "plain", "phases": [{"method": "ours:Scaled"}]}
    protocol = DIGITS | {"data": {"source": "texts:tickets"}, "model": {"name": "nets:linear"}}
    # Long enough to learn: a run that scores at chance would be warned of.
    protocol |= {"noise": {}, "schedule": DIGITS["schedule"] | {"epochs": 6, "lr": 0.2}}
    request = {"arms": ["ce", "mine"], "repeats": 1, "seeds": 1}
    raw = {"protocol": protocol, "request": request, "arms": {"mine": mine}}
    (folder / "study.yaml").write_text(yaml.safe_dump(raw))
    return folder / "study.yaml"


def untuned(
    *words: str | Path, folder: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, called from a folder that has nothing to do with it."""
    return subprocess.run(
        [sys.executable, str(ROOT / "run_sweep.py"), *map(str, words)],
        cwd=folder,
        env=(environment or dict(os.environ)) | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def assert_all_done(storage: Path) -> None:
    trials = Ledger.open(str(storage)).trials().values()
    results = [trial.result for trial in trials if trial.result]
    assert len(results) == len(trials) == 2
    own = [result["provenance"]["own"] for result in results]
    assert {name for names in own for name in names if not name.startswith("methods.")} == {
        *("ours", "nets", "texts")
    }
    assert all(len(digest) == 64 for names in own for digest in names.values())


@pytest.mark.slow
def test_modules_beside_the_study_file_are_found_and_remembered(tmp_path: Path):
    study, elsewhere = study_with_modules(tmp_path / "mine", tmp_path / "seen"), tmp_path / "away"
    elsewhere.mkdir()
    storage = tmp_path / "runs"
    launch = ("launch", study, "--storage", storage, "--executor", "inline", *LAUNCH)
    done = untuned(*launch, folder=elsewhere)
    assert (done.returncode, done.stderr) == (0, "")
    assert_all_done(storage)
    assert json.loads((storage / "request.json").read_text())["modules"] == dict.fromkeys(
        ("nets", "ours", "texts"), str(study.parent)
    )
    key = next(path.name for path in (storage / "trials").glob("mine-*"))
    moved = storage.rename(tmp_path / "moved")
    commands = [("status",), ("report",), ("best", "--arm", "mine"), ("suspects",), ("trial", key)]
    for name, *words in commands:
        done = untuned(name, moved, *words, folder=elsewhere)
        assert (done.returncode, done.stderr) == (0, ""), name
    loading = json.loads(untuned("best", moved, "--arm", "mine", folder=elsewhere).stdout)["load"]
    shown = f"{loading[0]}; {loading[1]}; print(model.network)"
    loaded = subprocess.run(
        [sys.executable, "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "Linear(in_features=64, out_features=10" in loaded.stdout
    # On another machine, the study's directory has come without them.
    shutil.rmtree(study.parent)
    for name, *words in commands:
        done = untuned(name, moved, *words, folder=elsewhere)
        missing = rf"error: .*module '(ours|nets|texts)' is neither installed nor in '{tmp_path}/m"
        assert done.returncode == 2 and done.stderr.count("\n") == 1, name
        assert re.match(missing, done.stderr), done.stderr


@pytest.mark.slow
def test_the_workers_of_an_own_ray_find_them(tmp_path: Path):
    study = study_with_modules(tmp_path / "mine", tmp_path / "seen")
    done = untuned("launch", study, "--storage", "runs", *LAUNCH, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert_all_done(tmp_path / "runs")


@pytest.mark.slow
def test_the_nodes_of_a_cluster_get_a_copy_of_them(tmp_path: Path):
    """From a driver on a node, and from outside through the Ray client."""
    study = study_with_modules(tmp_path / "mine", tmp_path / "seen")
    with ray_nodes() as nodes:
        nodes.add()
        for storage, address in (("one", nodes.address), ("two", nodes.client_address)):
            launch = ("launch", study, "--storage", storage, "--address", address, *LAUNCH)
            done = untuned(*launch, folder=tmp_path, environment=nodes.environment)
            assert (done.returncode, done.stderr) == (0, "")
            assert_all_done(tmp_path / storage)
    places = {path.name for path in (tmp_path / "seen").iterdir()}
    assert places and all("own_modules%2Fours.py" in place for place in places)

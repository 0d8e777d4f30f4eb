"""Data that have moved: a launch with the new path goes on, and all commands find them there."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipelines.documents import decode, encode
from tests.commands.test_commands import LAUNCH, run

PROTOCOL = {
    "noise": {"kind": "flip", "rate": 0.2},
    "splits": {"meta": 10, "val": 10, "test": 20},
    "model": {"name": "mlp", "options": {"hidden": [4]}},
    "schedule": {"epochs": 1},
}
REQUEST = {"arms": ["ce"], "repeats": 1, "seeds": 1}


def launch(home: Path, data: str, *more: object) -> int:
    protocol = PROTOCOL | {"data": {"source": "arrays", "path": data}}
    (home / "photos.yaml").write_text(yaml.safe_dump({"protocol": protocol, "request": REQUEST}))
    return run("launch", home / "photos.yaml", "--storage", home / "study", *LAUNCH, *more)


@pytest.fixture
def home(tmp_path, capfd) -> Path:
    """A folder with a finished study, whose data have moved from old.npz to new.npz."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "old.npz", x=rng.normal(size=(90, 3)), y=np.arange(90) % 3)
    assert launch(tmp_path, "old.npz") == 0
    (tmp_path / "old.npz").rename(tmp_path / "new.npz")
    capfd.readouterr()
    return tmp_path


def key_of(home: Path) -> str:
    [folder] = (home / "study" / "trials").iterdir()
    return folder.name


def test_until_then_they_say_where_they_looked_and_what_to_do(home, capfd):
    for words in (("suspects", home / "study"), ("trial", home / "study", key_of(home))):
        assert run(*words) == 2
        said = capfd.readouterr().err
        assert f"data.path = '{home}/old.npz', says {home}/study/study.json" in said
        assert "launch the study with its new path" in said and said.count("\n") == 1


def test_a_launch_with_the_new_path_repeats_nothing_and_is_remembered(home, capfd):
    result = home / "study" / "trials" / key_of(home) / "result.json"
    written = result.stat().st_mtime_ns
    assert launch(home, "new.npz") == 0
    assert "complete: nothing is missing" in capfd.readouterr().out
    assert result.stat().st_mtime_ns == written
    assert run("trial", home / "study", key_of(home)) == 0
    assert "identical" in capfd.readouterr().out
    assert run("suspects", home / "study") == 0


def test_other_data_at_the_new_path_are_refused_and_not_remembered(home, capfd):
    before = (home / "study" / "study.json").read_bytes()
    np.savez(home / "new.npz", x=np.ones((90, 3)), y=np.arange(90) % 3)
    assert launch(home, "new.npz") == 2
    assert "the content of the data differs" in capfd.readouterr().err
    assert (home / "study" / "study.json").read_bytes() == before


def test_a_study_is_carried_home_from_elsewhere(home):
    """Its directory, and its data, from a cluster: no path of there is on this machine."""
    file = home / "study" / "study.json"
    document = decode(file.read_bytes(), "study.json")
    assert document is not None
    document["protocol"]["data"]["path"] = "/scratch/somebody/data.npz"
    file.write_bytes(encode(document, "study.json"))
    (home / "runs").mkdir()
    shutil.move(home / "study", home / "runs" / "photos")
    assert launch(home, "new.npz", "--storage", home / "runs" / "photos") == 0
    [key] = [path.name for path in (home / "runs" / "photos" / "trials").iterdir()]
    assert run("trial", home / "runs" / "photos", key) == 0

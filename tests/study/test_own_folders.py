"""A folder of a trained network is relative to the study file, as all paths of a study are."""

import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import untuned
from pipelines import own_modules
from pipelines.data.encoders import version_of
from pipelines.errors import UserError
from pipelines.models.pretrained import pretrained
from pipelines.study.own_folders import as_loaded, beside_study
from pipelines.study.pretrained import PretrainedOptions
from pipelines.study.protocol import Protocol
from pipelines.study.study_file import load_study
from tests.commands.test_commands import LAUNCH, run


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A study's folder, of which this process has been told; another is the working directory."""
    monkeypatch.setattr(own_modules, "_told", [str(tmp_path / "study")])
    for folder in ("study/minilm", "study/deep/er", "other/here", "elsewhere/whole"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "other")
    monkeypatch.setenv("NETWORKS", str(tmp_path / "elsewhere"))
    return tmp_path / "study"


@pytest.mark.parametrize(
    ("library", "name", "folder"),
    [
        ("sentence_transformers", "minilm", "minilm"),
        ("sentence_transformers", "./minilm", "minilm"),
        ("transformers", "deep/er", "deep/er"),
        ("transformers", "../elsewhere/whole", "../elsewhere/whole"),
        ("transformers", "$NETWORKS/whole", "../elsewhere/whole"),
        ("timm", "local-dir:minilm", "minilm"),
    ],
)
def test_a_folder_is_looked_for_beside_the_study_file(library, name, folder, home):
    loaded = Path(as_loaded(library, name).removeprefix("local-dir:"))
    assert loaded.is_absolute() and loaded.samefile(home / folder)


def test_a_whole_path_stays_what_it_is(home):
    assert as_loaded("transformers", f"{home}/minilm") == f"{home}/minilm"
    assert as_loaded("timm", f"local-dir:{home}/minilm") == f"local-dir:{home}/minilm"


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("sentence_transformers", "all-MiniLM-L6-v2"),
        ("transformers", "here"),  # a folder of the working directory
        ("timm", "minilm"),
        ("torchvision", "minilm"),
        ("timm", "hf-hub:timm/resnet18"),
    ],
)
def test_a_name_stays_a_name(library, name, home):
    assert as_loaded(library, name) == name


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("sentence_transformers", "./here"),
        ("transformers", "~nobody/minilm"),
        ("transformers", "/nowhere"),
        ("timm", "local-dir:here"),
    ],
)
def test_what_can_only_be_a_folder_and_is_none_is_refused_by_name(library, name, home):
    message = rf"{library}: '{name}': there is no such folder beside the study file, in {home}"
    with pytest.raises(UserError, match=message):
        as_loaded(library, name)
    with pytest.raises(UserError, match=message):
        version_of({library: name})
    if library != "sentence_transformers":
        options = PretrainedOptions.model_validate({library: name})
        with pytest.raises(UserError, match=message):
            pretrained(options, (3, 8, 8), 2)


def test_workers_are_told_where_the_study_lies_if_it_has_such_folders(home):
    named = {"data": {"source": "text", "encoder": {"sentence_transformers": "minilm"}}}
    columns = {"a": {"sentence_transformers": "deep/er"}, "b": "words"}
    described = {"data": {"source": "table", "columns": columns}}
    options = {"timm": "local-dir:minilm"}
    network = {"model": {"name": "pretrained", "options": options}, "data": {"normalise": "none"}}
    protocols = [Protocol.model_validate(values) for values in (named, described, network)]
    assert beside_study(protocols) == dict.fromkeys(
        ("minilm", "deep/er", "local-dir:minilm"), str(home)
    )
    assert beside_study([Protocol()]) == {}


class Scaled:
    """A network of sentence_transformers in a folder: a number by which lengths are multiplied."""

    def __init__(self, name, device):
        self.scale = float((Path(name) / "scale.txt").read_text())

    def encode(self, texts, show_progress_bar):
        return np.array([[self.scale * len(text), text.count("a")] for text in texts])


def write_study(folder: Path) -> Path:
    (folder / "scaled").mkdir(parents=True)
    (folder / "scaled/scale.txt").write_text("0.5")
    texts = [f"{'ab' * (row % 7)} {row}" for row in range(60)]
    frame = pd.DataFrame({"text": texts, "label": ["x", "y"] * 30})
    frame.to_csv(folder / "texts.csv", index=False)
    encoder = {"sentence_transformers": "./scaled"}
    protocol = {
        "data": {"source": "text", "path": "texts.csv", "encoder": encoder},
        "splits": {"meta": 4, "val": 4, "test": 20},
        "model": {"name": "mlp", "options": {"hidden": [4]}},
        "schedule": {"epochs": 1},
    }
    study = {"protocol": protocol, "request": {"arms": ["ce"], "repeats": 1, "seeds": 1}}
    (folder / "mine.yaml").write_text(yaml.safe_dump(study))
    return folder / "mine.yaml"


def test_a_study_runs_and_predicts_from_anywhere_and_moves_with_its_folder(
    tmp_path, monkeypatch, capfd
):
    package = types.ModuleType("sentence_transformers")
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    monkeypatch.setattr(package, "SentenceTransformer", Scaled, raising=False)
    monkeypatch.setenv("UNTUNED_CACHE", str(tmp_path / "cache"))
    for name in ("_told", "_searched"):
        monkeypatch.setattr(own_modules, name, [])
    (tmp_path / "anywhere").mkdir()
    monkeypatch.chdir(tmp_path / "anywhere")
    study, storage = write_study(tmp_path / "one"), tmp_path / "runs"
    assert run("launch", study, "--storage", storage, *LAUNCH) == 0
    assert load_study(str(study)).protocol.data.encoder == {"sentence_transformers": "./scaled"}

    own_modules._told.clear()  # as in a process that has not read the study file
    assert run("suspects", storage) == 0
    own_modules._told.clear()
    [model] = storage.glob("trials/*/attempts/*/model.pt")
    assert untuned.load_model(model).predict(["a text"])[0] in ("x", "y")

    shutil.move(tmp_path / "one", tmp_path / "two")
    own_modules._told.clear()
    capfd.readouterr()
    assert run("launch", tmp_path / "two" / "mine.yaml", "--storage", storage, *LAUNCH) == 0
    assert "complete: nothing is missing" in capfd.readouterr().out

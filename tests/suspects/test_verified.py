"""A study goes on with labels that somebody has verified."""

import csv
import io

import numpy as np
import pytest
from rich.console import Console

from pipelines.commands.launch import Options, launch
from pipelines.data.loading import load_dataset
from pipelines.errors import UserError
from pipelines.study.labels_files import LabelsFile
from pipelines.study.protocol import Data, Protocol, protocol_hash
from pipelines.study.study_file import load_study, parse_study
from pipelines.suspects.verified import go_on_with


def written(path, labels):
    path.write_text("path,label\n" + "".join(f"{name},{label}\n" for name, label in labels))
    return path


@pytest.fixture
def storage(tmp_path):
    """A tiny study on a table, launched; row n is of class n mod 3, and rows 0 to 9 are wrong."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    y[:10] = (y[:10] + 1) % 3
    x = np.stack([np.eye(3)[np.arange(90) % 3, k] + rng.normal(0, 0.1, 90) for k in range(3)], 1)
    np.savez(tmp_path / "d.npz", x=x, y=y, classes=["ant", "bee", "cat"])
    raw = {
        "name": "bugs",
        "protocol": {
            "data": {"source": "arrays", "path": str(tmp_path / "d.npz")},
            "splits": {"meta": 9, "val": 9, "test": 12},
            "schedule": {"epochs": 1},
        },
        "request": {"arms": ["ce"], "trials": 0, "repeats": 1, "seeds": 1},
    }
    options = Options(str(tmp_path / "runs"), "inline", "disabled", "cpu")
    return launch(parse_study(raw, "bugs"), options, Console(file=io.StringIO())).storage


def test_corrections_take_the_place_of_the_labels_in_a_study_to_launch(storage, tmp_path):
    found = written(tmp_path / "verified.csv", [(0, "ant"), (1, "bee"), (30, "ant")])
    done = go_on_with(storage, found, "corrections", tmp_path)
    assert (done.changed, done.confirmed, done.earlier) == (2, 1, 0)
    assert [done.study.name, done.labels.name] == ["bugs-2.yaml", "bugs-2-verified.csv"]
    study = load_study(str(done.study))
    assert study.name == "bugs-2" and study.request.arms == ["ce"]
    dataset = load_dataset(study.protocol.data)
    assert dataset.observed[:3].tolist() == [0, 1, 0]  # row 2 is as wrong as it was
    assert dataset.truth[:2].tolist() == [0, 1]
    options = Options(str(tmp_path / "more"), "inline", "disabled", "cpu")
    assert launch(study, options, Console(file=io.StringIO())).storage


def test_a_later_list_goes_on_from_the_earlier_one(storage, tmp_path):
    first = go_on_with(
        storage, written(tmp_path / "a.csv", [(0, "ant"), (1, "ant")]), "corrections", tmp_path
    )
    options = Options(str(tmp_path / "more"), "inline", "disabled", "cpu")
    launched = launch(load_study(str(first.study)), options, Console(file=io.StringIO()))
    second = go_on_with(
        launched.storage, written(tmp_path / "b.csv", [(1, "bee")]), "corrections", tmp_path
    )
    assert (second.study.name, second.changed, second.earlier) == ("bugs-3.yaml", 1, 1)
    with second.labels.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["path", "label"], ["0", "ant"], ["1", "bee"]]


def test_as_trusted_they_are_what_meta_val_and_test_are_drawn_of(storage, tmp_path):
    names = ["ant", "bee", "cat"]
    found = written(tmp_path / "v.csv", [(row, names[row % 3]) for row in range(60)])
    done = go_on_with(storage, found, "trusted", tmp_path)
    dataset = load_dataset(load_study(str(done.study)).protocol.data)
    assert (dataset.truth >= 0).sum() == 60 and done.changed == 10


def test_an_earlier_file_is_not_overwritten(storage, tmp_path):
    (tmp_path / "bugs-2.yaml").write_text("mine")
    done = go_on_with(storage, written(tmp_path / "v.csv", [(0, "ant")]), "corrections", tmp_path)
    assert done.study.name == "bugs-3.yaml" and (tmp_path / "bugs-2.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("line", "message"), [((900, "ant"), "names no example"), ((0, "fly"), "label 'fly': allowed")]
)
def test_what_names_no_example_or_class_is_refused(storage, tmp_path, line, message):
    with pytest.raises(UserError, match=f"v.csv, line 2: .*{message}"):
        go_on_with(storage, written(tmp_path / "v.csv", [line]), "corrections", tmp_path)
    assert not list(tmp_path.glob("bugs*"))


def test_no_other_example_becomes_a_trusted_one(tmp_path):
    """Suspects are no random sample: what is tested on stays what was drawn."""
    np.savez(tmp_path / "d.npz", x=np.eye(8), y=np.arange(8) % 2)
    data = Data(
        source="arrays",
        path=tmp_path / "d.npz",
        trusted=LabelsFile(file=written(tmp_path / "t.csv", [(0, 0), (1, 0)])),
        corrections=LabelsFile(file=written(tmp_path / "c.csv", [(1, 1), (2, 1)])),
    )
    dataset = load_dataset(data)
    assert dataset.truth.tolist() == [0, 1, *[-1] * 6]
    assert dataset.observed.tolist() == [0, 1, 1, 1, 0, 1, 0, 1]


def test_corrections_are_part_of_the_data_not_of_where_they_lie(tmp_path):
    one, other = (Data(corrections=LabelsFile(file=tmp_path / name)) for name in ("a", "b"))
    hashes = {protocol_hash(Protocol(data=data), "content") for data in (one, other)}
    assert len(hashes) == 1

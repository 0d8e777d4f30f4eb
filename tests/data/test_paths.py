"""Whatever a path holds, where a study names data: it is there, or it is refused in one line."""

import os
from pathlib import Path

import pytest

from pipelines.data.survey import survey
from pipelines.errors import UserError
from pipelines.study.labels_files import LabelsFile
from pipelines.study.protocol import Data
from tests.support.data_files import assert_refused

ODD = {
    "nothing": lambda folder: folder / "nothing",
    "NUL": lambda folder: folder / "a\0b",
    "new line": lambda folder: folder / "a\nb",
    "5,000 letters": lambda folder: folder / ("x" * 5000),
    "5,000 folders": lambda folder: folder / "/".join(["x"] * 5000),
    "link to itself": lambda folder: link(folder, "loop", "loop"),
    "link to nothing": lambda folder: link(folder, "dangling", "nowhere"),
    "named pipe": lambda folder: pipe(folder / "pipe"),
    "device": lambda folder: Path("/dev/zero"),
    "surrogates": lambda folder: folder / "\udcff",
}


def link(folder: Path, name: str, target: str) -> Path:
    (folder / name).symlink_to(target)
    return folder / name


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


@pytest.fixture(params=ODD)
def odd(request, tmp_path) -> Path:
    return ODD[request.param](tmp_path)


@pytest.mark.parametrize("source", ["arrays", "table", "image_folder"])
def test_data_at_an_odd_path_is_refused(odd, source):
    assert_refused(Data(source=source, path=odd), f"{source} needs an existing")


def test_a_labels_file_at_an_odd_path_is_refused(odd):
    assert_refused(Data(labels=LabelsFile(file=odd)), "is no file")


def test_new_refuses_an_odd_path(odd):
    with pytest.raises(UserError, match="there is no such file or folder") as refusal:
        survey(odd)
    assert "\n" not in str(refusal.value)

"""A study's name, its file and its directory each stand for the study, in every command."""

from pathlib import Path

import pytest
import yaml
from rich.console import Console

from pipelines.commands.launch import launch
from pipelines.commands.options import Options
from pipelines.commands.which_study import storage_named, study_named
from pipelines.errors import UserError
from pipelines.study.study_file import load_study
from tests.conftest import DIGITS

REQUEST = {"arms": ["ce"], "repeats": 1, "seeds": 1}
OPTIONS = Options(executor="inline", wandb="disabled", device="cpu")
NAMES = ("photos", "photos.yaml", "runs/photos", "./runs/photos/")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with photos.yaml, and the study that it says in runs/photos."""
    folder = tmp_path_factory.mktemp("home")
    file = folder / "photos.yaml"
    file.write_text(yaml.safe_dump({"protocol": DIGITS, "request": REQUEST}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        launch(load_study("photos.yaml"), OPTIONS, Console(quiet=True))
    return folder


@pytest.fixture(autouse=True)
def _at_home(home, monkeypatch):
    monkeypatch.chdir(home)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_stands_for_a_study_leads_to_its_storage_and_to_what_is_in_it(name: str):
    assert Path(storage_named(name)) == Path("runs/photos")
    study, _ = study_named(name, {"seeds": 3})
    assert study.protocol == load_study("photos.yaml").protocol
    assert study.request.seeds == 3 and study.request.arms == ["ce"]


def test_a_study_that_is_named_by_its_directory_is_launched_there(home, monkeypatch):
    assert study_named("runs/photos")[1] == "runs/photos"
    assert study_named("photos")[1] is None, "a study of that name anywhere is launched by its file"
    monkeypatch.chdir(home / "runs")
    assert storage_named("photos") == "photos" == study_named("photos")[1]


def test_a_directory_wins_only_if_it_holds_a_study(home):
    (home / "photos").mkdir()  # of images, maybe
    try:
        assert storage_named("photos") == "runs/photos"
    finally:
        (home / "photos").rmdir()


def test_a_study_without_a_file_is_known_by_its_directory(home, tmp_path, monkeypatch):
    (tmp_path / "runs").symlink_to(home / "runs")
    monkeypatch.chdir(tmp_path)
    assert storage_named("photos") == "runs/photos" == study_named("photos")[1]


def test_places_are_taken_as_they_are_where_nothing_need_be_there():
    assert storage_named("s3://bucket/x") == "s3://bucket/x"
    assert storage_named("elsewhere/new", new=True) == "elsewhere/new"
    assert storage_named("digits", new=True) == "runs/digits"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("photo", "did you mean 'photos'"),
        ("runs/photo", "did you mean 'runs/photos'"),
        ("photos.yml", "did you mean 'photos.yaml'"),
        ("digit", "did you mean 'digits'"),
        ("digits", "there is no 'runs/digits': launch it first"),
        ("", "study ''"),
        ("\0", r"study '\\x00'"),
        ("a" * 5000, "study 'a{199}…"),
        ("photos.yaml/x", "study 'photos.yaml/x'"),
        ("~nobody", "study '~nobody'"),
    ],
)
def test_an_unknown_name_is_told_in_one_line(name: str, message: str):
    with pytest.raises(UserError, match=r"\A[^\n]{,600}\Z") as refusal:
        storage_named(name)
    assert refusal.match(message)


def test_a_file_that_is_no_study_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.yaml").write_text("name: ../../elsewhere\n")
    with pytest.raises(UserError, match=r"odd.yaml: name = '../../elsewhere': must begin with"):
        storage_named("odd")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(UserError, match="expected keys and values, found list"):
        storage_named("list.yaml")

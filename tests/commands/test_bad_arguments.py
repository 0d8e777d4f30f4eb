"""Whatever is typed after a command: one line, exit status 2, and nothing is written."""

from pathlib import Path

import pytest
import yaml
from rich.console import Console

from pipelines.commands.launch import launch
from pipelines.commands.options import Options
from pipelines.study.study_file import load_study
from tests.commands.test_commands import run
from tests.conftest import DIGITS

STUDY = {"protocol": DIGITS, "request": {"arms": ["ce"], "repeats": 1, "seeds": 2}}
OPTIONS = Options(executor="inline", wandb="disabled", device="cpu")
NAMES = (
    "",
    " ",
    "\0",
    "a" * 5000,
    "../nowhere",
    "a/file/x",
    "loop",
    "file",
    "é",
    "-",
    "*",
    "empty",
)
OF_STUDIES = (
    ("launch",),
    ("plan",),
    ("status",),
    ("status", "--json"),
    ("report",),
    ("report", "photos"),
    ("dashboard",),
    ("suspects",),
    ("best",),
    ("prune", "--models"),
    ("optuna",),
    ("arms",),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder in which runs/photos is a finished study."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "photos.yaml").write_text(yaml.safe_dump(STUDY))
    (folder / "file").write_text("neither a study nor data\n")
    (folder / "loop").symlink_to("loop")
    (folder / "empty").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        launch(load_study("photos.yaml"), OPTIONS, Console(quiet=True))
    return folder


@pytest.fixture
def refused(home, monkeypatch, capfd):
    """Says what a command's one line of refusal is."""
    monkeypatch.chdir(home)
    before = sorted(home.rglob("*"))

    def command(*words: object) -> str:
        assert run(*words) == 2, words
        said = capfd.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1, said
        assert sorted(home.rglob("*")) == before, "something was written"
        return said

    return command


@pytest.mark.parametrize("words", OF_STUDIES, ids=" ".join)
def test_a_name_that_no_study_has(words, refused):
    for name in NAMES:
        refused(*words, "--", name)


@pytest.mark.parametrize("key", ["", "c", "ce", "ce-", "gce", "\0", "../..", "a" * 5000, "-", "é"])
def test_a_trials_key_that_is_none_or_begins_several(key: str, refused):
    assert refused("trial", "photos", "--", key).startswith("error: trial '")


def test_a_trials_key_may_be_abbreviated(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    key = min(path.name for path in (home / "runs/photos/trials").iterdir())
    assert run("trial", "photos", key[:6]) == 0
    assert f"{key}: completed; the result is identical" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("best", "photos", "--arm", ""), "arm '' is not in this study"),
        (("best", "photos", "--arm", "\0"), r"arm '\x00' is not in this study"),
        (("suspects", "photos", "--arm", ""), "arm '' is not in this study"),
        (("suspects", "photos", "--top", "0"), "--top 0: must be at least 1"),
        (("suspects", "photos", "--top", "ten"), "--top 'ten': must be a valid integer"),
        (
            ("optuna", "photos", "x.txt"),
            "FILE = 'x.txt': its name must end in .db, .sqlite, .sqlite3",
        ),
        (("optuna", "photos", "no/x.db"), "FILE = 'no/x.db': there is no directory 'no'"),
        (("optuna", "photos", "\0.db"), r"file '\x00.db'"),
        (("dashboard", "photos", "--port", "70000"), "--port '70000': must be less than or equal"),
        (("dashboard", "photos", "--port", ""), "--port ''"),
        (("new", "", "--data", "file"), "study '.yaml'"),
        (("new", "a" * 5000, "--data", "file"), "study 'aaa"),
        (("new", "\0", "--data", "file"), r"study '\x00'"),
        (("new", "x/y", "--data", "file"), "file: must be a folder of images"),
        (("new", "mine", "--data", ""), "--data ''"),
        (("new", "mine", "--data", "file.npz", "--labels", ""), "--labels ''"),
        (("new", "mine", "--data", "\0"), "there is no such file or folder"),
        (("new", "mine", "--data", "a" * 5000), "there is no such file or folder"),
        (("new", "mine", "--data", "loop"), "there is no such file or folder"),
        (("new", "mine", "--data", "empty"), "holds no images"),
        (("new", "photos", "--data", "file"), "photos.yaml: exists already"),
        (("launch", "photos", "--arms", ""), "request.arms = []"),
        (("launch", "photos", "--arms", ", ,"), "request.arms = []"),
        (("launch", "photos", "--arms", "ce,ce"), "named twice: ce"),
        (("launch", "photos", "--trials", "1e3"), "--trials '1e3': must be a valid integer"),
        (("launch", "photos", "--seeds", "9" * 5000), "--seeds '999"),
        (
            ("launch", "photos", "--storage", "\0", "--executor", "inline"),
            "must hold no NUL",
        ),
        (("launch", "photos", "--storage", "file", "--executor", "inline"), "storage 'file'"),
        (("launch", "photos", "--storage", "a" * 5000, "--executor", "inline"), "storage 'aaa"),
        (("launch", "photos", "--storage", "x://y", "--executor", "inline"), "storage 'x://y'"),
        (("doctor", ""), "study ''"),
    ],
)
def test_an_option_that_is_none(words, message: str, refused):
    assert message in refused(*words)

"""No key leaves the environment, and no name leaves the study's directory."""

import io
import pickle
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.commands.launch import Options, launch
from pipelines.errors import UserError
from pipelines.ledger.ledger import Ledger
from pipelines.report.pages import write_report
from pipelines.study.study_file import parse_study
from tests.conftest import DIGITS, small_study

SECRETS = {
    "WANDB_API_KEY": "a1b2c3d4" * 5,
    "RAY_AUTH_TOKEN": "5ec4e7" * 8,
    "AWS_SECRET_ACCESS_KEY": "planted+secret+access+key",
}


def test_planted_keys_are_in_nothing_that_is_written(tmp_path: Path, monkeypatch):
    """The ledger with a failed trial's traceback, the W&B files, and the report."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    storage = tmp_path / "study"
    options = Options(str(storage), "inline", "offline", "cpu")
    said = io.StringIO()
    launch(small_study(arms=("ce", "l2rw"), repeats=1), options, Console(file=said))
    write_report(str(storage))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in written)
    assert any(path.name == "report.html" for path in written)
    for secret in SECRETS.values():
        assert secret not in said.getvalue()
        leaks = [path for path in written if secret.encode() in path.read_bytes()]
        assert leaks == []


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".hidden", "a b", "x" * 65])
def test_no_study_name_leads_out_of_the_directory(name: str):
    request = {"arms": ["ce"]}
    with pytest.raises(UserError, match="name"):
        parse_study({"name": name, "protocol": DIGITS, "request": request}, "study.yaml")


@pytest.mark.parametrize("name", ["../../escape", "a/b", "/etc/passwd", "a-b\n"])
def test_no_arm_name_leads_out_of_the_directory(tmp_path: Path, name: str):
    ledger = Ledger.open(str(tmp_path / "study"))
    with pytest.raises(ValueError, match="key"):
        ledger.add_trial({"key": f"{name}-0123456789abcdef"})
    assert not (tmp_path / "escape").exists()


def test_a_pickle_in_the_ledger_is_never_executed(tmp_path: Path):
    class Malicious:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    ledger = Ledger.open(str(tmp_path / "study"))
    for path in ("study.json", "index/1.jsonl", "trials/ce-0/spec.json", "trials/ce-0/result.json"):
        ledger.storage.replace(path, pickle.dumps(Malicious()))
    assert ledger.study() is None and ledger.trials() == {}
    assert not (tmp_path / "executed").exists()

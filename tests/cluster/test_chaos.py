"""The chaos benchmark sees what it is to see, and a short run of it ends well."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.chaos import ROOT, compare
from pipelines.ledger.ledger import Ledger


def finish(place: Path, key: str, passes: int) -> None:
    ledger = Ledger.open(str(place))
    ledger.create_study({"hash": "0", "protocol": {}})
    ledger.add_trial({"key": key, "arm": "ce"})
    ledger.attempt(key, ledger.new_attempt(key)).finish({"passes": passes}, [])


def test_each_way_in_which_a_study_may_come_out_wrong_is_counted(tmp_path: Path):
    expected, disturbed = tmp_path / "expected", tmp_path / "disturbed"
    for key in ("ce-1", "ce-2", "ce-3", "ce-4"):
        finish(expected, key, 7)
    finish(disturbed, "ce-1", 7)
    finish(disturbed, "ce-2", 8)
    finish(disturbed, "ce-9", 7)
    Ledger.open(str(disturbed)).add_trial({"key": "ce-3", "arm": "ce"})
    counts = compare(str(disturbed), expected)
    assert counts == {
        "trials": 4,
        "equal": 1,
        "different": 1,
        "not finished": 1,
        "missing": 1,
        "extra": 1,
        "conflicts": 0,
        "attempts": 3,
    }


@pytest.mark.chaos
@pytest.mark.parametrize("storage", ["local", "s3"])
def test_some_faults_change_nothing(storage: str, tmp_path: Path):
    file = tmp_path / "outcome.json"
    command = [sys.executable, "-m", "benchmarks.chaos", "--faults", "3", "--seed", "1"]
    command += ["--storage", storage, "--json", str(file)]
    subprocess.run(command, check=True, cwd=ROOT)
    outcome = json.loads(file.read_text())
    assert sum(outcome["faults"].values()) == 3
    for counts in outcome["rounds"]:
        assert counts["equal"] == counts["trials"] >= 40
        assert counts["extra"] == counts["conflicts"] == 0

"""A study that commit 18895cb had half done goes on here, with the keys and the numbers it had.

`fixtures/ledger_18895cb.tar.xz` holds the study file, the ledger as that commit left it in the
middle of a trial, and the results that it came to when it ran the rest, on two kinds of
processors: `expected/`, and `expected_amd_25_1/`.
"""

import io
import json
import tarfile
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.commands.launch import Options, launch
from pipelines.documents import Json, differences
from pipelines.ledger.ledger import Ledger
from pipelines.provenance import provenance
from pipelines.report.study_state import load_study_state
from pipelines.study.study_file import load_study

#: Where what a processor comes to is known by its whole name. `expected` is of one of which its
#: results tell no more than "AMD EPYC", as others are called that have other last digits.
KNOWN = {"AMD EPYC, cpu family 25, model 1, AVX2": "expected_amd_25_1"}
FIXTURE = Path(__file__).parent / "fixtures" / "ledger_18895cb.tar.xz"


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def before(old: Path) -> dict[str, Json | None]:
    """The results that were finished then, by key."""
    return {key: trial.result for key, trial in Ledger.open(str(old / "ledger")).trials().items()}


def results_in(folder: Path) -> dict[str, Json]:
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.fixture(scope="module")
def expected(old: Path) -> dict[str, Json]:
    return results_in(old / KNOWN.get(provenance()["processor"], "expected"))


@pytest.fixture(scope="module")
def resumed(old: Path, before) -> Ledger:
    """The ledger after the same command has gone on."""
    options = Options(storage=str(old / "ledger"), executor="inline", wandb="disabled")
    launch(load_study(str(old / "study.yaml")), options, Console(file=io.StringIO()))
    return Ledger.open(str(old / "ledger"))


def test_an_old_ledger_is_read(old: Path, before):
    _, study_state = load_study_state(str(old / "ledger"))
    assert len(before) == 45 and sum(r is not None for r in before.values()) == 44
    assert len(study_state.records) > 20 and study_state.mixture() == []


def test_what_was_finished_is_not_run_again(before, resumed: Ledger):
    trials = resumed.trials()
    finished = {key for key, result in before.items() if result is not None}
    assert all(trials[key].result == before[key] for key in finished)
    assert all(trials[key].attempts == 1 for key in finished)


def test_the_interrupted_trial_goes_on_from_its_checkpoint(before, resumed: Ledger):
    [key] = [key for key, result in before.items() if result is None]
    assert resumed.trials()[key].attempts == 2


def test_the_rest_has_the_keys_and_the_numbers_it_had(expected, before, resumed: Ledger):
    """Within rounding, on any processor."""
    trials = resumed.trials()
    assert trials.keys() == before.keys() | expected.keys()
    for key, old in expected.items():
        new = trials[key].result
        assert new is not None and new["status"] == old["status"], key
        nll = [result["held_out"]["last"]["nll"] for result in (old, new)]
        assert nll[0] == pytest.approx(nll[1], rel=1e-3), key
        assert new["passes"] == old["passes"]


def test_they_are_those_to_the_last_bit(expected, resumed: Ledger):
    """Where processor and torch are those that the results are of."""
    trials, here, there = resumed.trials(), provenance(), next(iter(expected.values()))
    if here["versions"]["torch"] != there["provenance"]["versions"]["torch"]:
        pytest.skip("of another torch")
    changed = {
        key: found
        for key, old in expected.items()
        if (found := differences(old, trials[key].result or {}))
    }
    if changed and here["processor"] not in KNOWN:
        pytest.skip(f"no results of {here['processor']!r} are at hand, and others round otherwise")
    assert changed == {}


def test_what_is_younger_than_the_fixture_is_there_and_nothing_else_is(expected, resumed: Ledger):
    """Which test examples were classified right: in new results alone, and not compared."""
    trials = resumed.trials()
    for key, old in expected.items():
        new = trials[key].result
        assert new is not None
        if new["status"] == "completed":
            assert new["held_out"].keys() - old["held_out"].keys() == {"correct"}
            assert old["held_out"].keys() < new["held_out"].keys()
            assert new.keys() - old.keys() <= {"files", "collapse"}  # digests, signs of collapse

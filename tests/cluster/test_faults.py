"""The schedule of faults deals what it says, sees what it is to see, and a short one ends well."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.faults.commands import ROOT, Said
from benchmarks.faults.damage import CHANGES, Damage
from benchmarks.faults.judge import Verdict
from benchmarks.faults.plan import KINDS, schedule
from benchmarks.faults.studies import Place
from pipelines.ledger.ledger import Ledger


def test_the_schedule_is_the_same_again_and_its_kinds_are_as_frequent_as_they_say():
    faults = schedule(300, seed=1)
    assert faults == schedule(300, seed=1) and faults != schedule(300, seed=2)
    counts = dict.fromkeys(KINDS, 0)
    for fault in faults:
        counts[fault.kind] += fault.count
    assert counts == KINDS and sum(counts.values()) == 300
    assert [fault.rng.random() for fault in faults] == [fault.rng.random() for fault in faults]
    assert {fault.kind for fault in schedule(9, 0, ["ray", "disk, full"])} <= {
        "ray, worker",
        "ray, raylet",
        "ray, driver",
        "ray, all",
        "disk, full",
    }


@pytest.mark.parametrize("way", ["flipped", "zeros", "truncated", "emptied"])
def test_a_damaged_file_is_another_one(way: str):
    data = bytes(range(1, 256)) * 9
    assert all(CHANGES[way](data, random.Random(seed)) != data for seed in range(50))


def finished(place: Path, **results: int) -> Ledger:
    ledger = Ledger.open(str(place))
    ledger.create_study({"name": "study"})
    ledger.write_request({})
    for arm, passes in results.items():
        key = f"{arm}-1"
        ledger.add_trial({"key": key, "arm": arm})  # pyright: ignore[reportArgumentType]
        ledger.attempt(key, ledger.new_attempt(key)).finish({"passes": passes}, [])
    return ledger


def test_what_is_lost_or_doubled_is_told(tmp_path: Path):
    expected = finished(tmp_path / "expected", a=1, b=1, c=1, d=1).trials()
    ledger = finished(tmp_path / "there", a=1, b=2, d=1, e=1)
    before = ledger.trials()
    ledger.new_attempt("d-1")
    verdict = Verdict()
    verdict.compare(expected, ledger.trials(), before, {*before})
    assert verdict.lost == ["c-1: missing"]
    assert verdict.doubled == [
        "b-1: another result, in passes",
        "e-1: extra",
        "d-1: run again though finished",
    ]


@pytest.mark.parametrize(
    ("said", "false"),
    [
        (Said("launch", 0, "fine", ""), []),
        (Said("launch", 2, "", "error: one line\n"), []),
        (Said("launch", 1, "", ""), ["launch: status 1, []"]),
        (Said("launch", None, "", ""), ["launch hangs"]),
        (Said("launch", 0, "", "noise\n"), ["launch: on stderr: ['noise']"]),
        (Said("launch", 2, "", "a\nb\n"), ["launch: on stderr: ['a', 'b']"]),
        (Said("launch", 2, "", "oops\n"), ["launch: status 2 without its line"]),
        (Said("launch", 0, "Traceback (most", ""), ["launch: traceback, []"]),
    ],
)
def test_what_a_command_should_not_say_is_told(said: Said, false: list[str]):
    verdict = Verdict()
    verdict.hear(said, (0, 2))
    assert verdict.false == false


def test_damage_is_named_or_goes_away_or_is_unseen(tmp_path: Path):
    ledger = finished(tmp_path / "study", a=1)
    place = Place(str(tmp_path / "study"), tmp_path / "study")
    truth = {f.path: ledger.storage.read(f.path) or b"" for f in ledger.storage.files("trials")}
    spared = {path for path in truth if not path.endswith("result.json")}
    damage = Damage(random.Random(0), truth, truth, s3=True, spared=spared)
    damage.way = "flipped"
    damage.do(place)
    assert damage.path == "trials/a-1/result.json" and damage.key == "a-1"
    assert not damage.harmless(place)
    assert damage.named_in("x\ndamaged: a-1: result.json is damaged or gone\n")
    assert not damage.named_in("damaged: a-2: result.json\ndamaged: a-1: spec.json")
    ledger.storage.replace(damage.path, truth[damage.path])
    assert damage.harmless(place)


@pytest.mark.chaos
def test_a_short_schedule_ends_well(tmp_path: Path):
    command = [sys.executable, "-m", "benchmarks.faults", str(tmp_path), "--faults", "12"]
    subprocess.run([*command, "--only", "file", "process, signal"], check=True, cwd=ROOT)
    outcomes = [json.loads(line) for line in (tmp_path / "outcomes.jsonl").read_text().splitlines()]
    assert sum(outcome["count"] for outcome in outcomes) >= 12
    assert not any(o[n] for o in outcomes for n in ("lost", "doubled", "unseen", "false"))

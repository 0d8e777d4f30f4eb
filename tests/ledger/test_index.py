"""The index: what it spares, and that it is never believed against the files."""

import json
from collections.abc import Callable

import pytest

from pipelines.ledger.damage import ANEW
from pipelines.ledger.index import read_index
from pipelines.ledger.ledger import Ledger
from tests.ledger.conftest import RESULT, ROWS, started


@pytest.fixture
def indexed(ledger: Ledger) -> Ledger:
    for number in range(3):
        started(ledger, f"gce-{number}").finish(RESULT | {"val": number}, ROWS)
    ledger.index(ledger.trials().values())
    return ledger


def reads(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that listing all trials opens."""
    opened, read = [], ledger.storage.read

    def counted(path: str) -> bytes | None:
        opened.append(path)
        return read(path)

    monkeypatch.setattr(ledger.storage, "read", counted)
    ledger.trials()
    monkeypatch.setattr(ledger.storage, "read", read)
    return sorted(opened)


def test_the_index_spares_reading_finished_trials(indexed: Ledger, monkeypatch):
    expected = indexed.trials()
    assert reads(indexed, monkeypatch) == ["index/1.jsonl"]
    indexed.storage.delete("index/1.jsonl")
    assert indexed.trials() == expected and len(reads(indexed, monkeypatch)) == 6


def test_the_index_grows_by_what_it_misses(indexed: Ledger, monkeypatch):
    indexed.index(indexed.trials().values())
    started(indexed, "gce-new").finish(RESULT, ROWS)
    indexed.index(indexed.trials().values())
    expected = indexed.trials()
    assert [len(row.key) for row in read_index(indexed.storage).rows.values()] == [5, 5, 5, 7]
    assert reads(indexed, monkeypatch) == ["index/1.jsonl", "index/2.jsonl"]
    assert indexed.trials() == expected


def test_of_two_rows_of_a_trial_the_one_of_the_present_files_counts(indexed: Ledger, monkeypatch):
    indexed.storage.delete("trials/gce-0/result.json")
    indexed.trials()
    started(indexed, "gce-0").finish(RESULT | {"val": 7}, ROWS)
    indexed.index(indexed.trials().values())
    assert (indexed.trials()["gce-0"].result or {})["val"] == 7
    assert reads(indexed, monkeypatch) == ["index/1.jsonl", "index/2.jsonl"]


def test_trials_that_the_index_misses_are_read(indexed: Ledger, monkeypatch):
    started(indexed, "gce-new")
    assert indexed.trials()["gce-new"].state == "started"
    assert reads(indexed, monkeypatch) == ["index/1.jsonl", "trials/gce-new/spec.json"]


def test_the_index_is_not_believed_against_the_files(indexed: Ledger):
    indexed.storage.replace("trials/gce-0/result.json", json.dumps(RESULT | {"val": 9}).encode())
    indexed.storage.delete("trials/gce-1/result.json")
    indexed.storage.delete("trials/gce-2/spec.json")
    trials = indexed.trials()
    assert (trials["gce-0"].result or {})["val"] == 9
    assert trials["gce-1"].state == "started"
    assert "gce-2" not in trials


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-20], lambda d: d.replace(b"gce", b"sce"), lambda _: b""]
)
def test_a_damaged_index_is_not_used(
    indexed: Ledger, monkeypatch, damage: Callable[[bytes], bytes]
):
    expected = indexed.trials()
    indexed.storage.replace("index/1.jsonl", damage(indexed.storage.read("index/1.jsonl") or b""))
    assert indexed.trials() == expected
    assert indexed.contents().damaged["study"]["index/1.jsonl"] == ANEW
    indexed.index(indexed.trials().values())
    assert reads(indexed, monkeypatch) == ["index/1.jsonl"]
    assert "index/1.jsonl" not in indexed.contents().damaged["study"]

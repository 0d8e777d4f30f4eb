"""Attempts: checkpoints, and work that is done twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.ledger.attempt import LedgerConflict
from pipelines.ledger.damage import AGAIN
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.record import TrialRecord
from pipelines.trial_documents import Rung
from tests.ledger.conftest import KEY, RESULT, ROWS, SPEC, recorded, started, state


def test_the_furthest_checkpoint_of_all_attempts_is_found(ledger: Ledger):
    first = started(ledger)
    assert first.load_newest_checkpoint() is None
    first.save_checkpoint(b"nine", 9)
    first.save_checkpoint(b"ten", 10)
    second = started(ledger)
    assert second.load_newest_checkpoint() == (10, b"ten")
    second.save_checkpoint(b"eleven", 11)
    assert started(ledger).load_newest_checkpoint() == (11, b"eleven")


def test_two_checkpoints_are_kept_and_none_after_the_result(ledger: Ledger):
    attempt = started(ledger)
    for step in range(5):
        attempt.save_checkpoint(b"%d" % step, step)
    kept = [f.path for f in ledger.storage.files("trials") if "checkpoint" in f.path]
    assert sorted(int(path.split("checkpoint-")[1].split("-")[0]) for path in kept) == [3, 4]
    started(ledger).finish(RESULT, ROWS)
    assert not [f for f in ledger.storage.files("trials") if "checkpoint" in f.path]


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda _: b"", lambda d: d[::-1]])
def test_a_damaged_checkpoint_is_skipped(ledger: Ledger, damage: Callable[[bytes], bytes]):
    attempt = started(ledger)
    attempt.save_checkpoint(b"intact", 1)
    attempt.save_checkpoint(b"to be damaged", 2)
    [newest] = [f.path for f in ledger.storage.files("trials") if "checkpoint-2" in f.path]
    ledger.storage.replace(newest, damage(b"to be damaged"))
    assert started(ledger).load_newest_checkpoint() == (1, b"intact")


def stored(ledger: Ledger) -> TrialRecord:
    trial = ledger.trial(KEY)
    assert trial
    return trial


def test_an_attempt_that_is_stopped_says_where_and_why_and_keeps_its_checkpoint_and_rows(
    ledger: Ledger,
):
    attempt = started(ledger)
    attempt.save_checkpoint(b"two epochs", 20)
    attempt.stop(Rung(2, "halving: rung 1 of 3"), ROWS[:2], {"passes": 9})
    trial = stored(ledger)
    assert trial.state == "stopped" and trial.stopped
    assert (trial.stopped["epoch"], trial.stopped["why"]) == (len(ROWS[:2]), "halving: rung 1 of 3")
    assert ledger.histories([trial]) == {KEY: ROWS[:2]}
    second = started(ledger)
    assert second.load_newest_checkpoint() == (20, b"two epochs")
    assert stored(ledger).state == "started" and ledger.histories([stored(ledger)])
    second.finish(RESULT, ROWS)
    assert stored(ledger).state == "completed"
    assert ledger.histories([stored(ledger)]) == {KEY: ROWS}


def test_where_it_was_stopped_is_damaged_the_trial_goes_on_from_its_checkpoint(ledger: Ledger):
    attempt = started(ledger)
    attempt.stop(Rung(2, "halving"), ROWS[:2], {})
    [path] = [f.path for f in ledger.storage.files("trials") if "stopped" in f.path]
    ledger.storage.replace(path, b"{}")
    assert stored(ledger).state == "started"
    assert ledger.contents().damaged[KEY] == {path.partition(f"{KEY}/")[2]: AGAIN}


def test_checkpoints_of_earlier_attempts_go_once_there_are_newer_ones(ledger: Ledger):
    first = started(ledger)
    first.save_checkpoint(b"1", 1)
    first.save_checkpoint(b"2", 2)
    second = started(ledger)
    second.load_newest_checkpoint()
    second.save_checkpoint(b"3", 3)
    second.save_checkpoint(b"4", 4)
    kept = [f.path for f in ledger.storage.files("trials") if "checkpoint" in f.path]
    assert len(kept) == 2 and all(path.startswith(second.folder) for path in kept)


def test_an_equal_result_is_fine_and_the_first_one_stays(ledger: Ledger):
    zombie, successor = started(ledger), started(ledger)
    successor.finish(RESULT, ROWS)
    differing = {"cost": {"seconds": 9.0}, "provenance": {"host": "b"}}
    zombie.finish(RESULT | differing, ROWS)
    trial = ledger.trial(KEY)
    assert trial and trial.result == recorded(attempt=2)


@pytest.mark.parametrize("other", [{"val": 0.6}, {"extra": 1}])
def test_a_different_result_is_a_conflict_and_the_first_one_stays(ledger: Ledger, other: dict):
    started(ledger).finish(RESULT, ROWS)
    with pytest.raises(LedgerConflict, match=f"{KEY}.*attempt 2.*{next(iter(other))}"):
        started(ledger).finish(RESULT | other, ROWS)
    trial = ledger.trial(KEY)
    assert trial and trial.result == recorded(attempt=1)


def test_a_result_that_is_not_a_number_equals_itself(ledger: Ledger):
    for _ in range(2):
        started(ledger).finish(RESULT | {"val": float("nan")}, ROWS)


def test_a_zombies_writes_leave_its_successor_alone(ledger: Ledger):
    zombie = started(ledger)
    zombie.save_checkpoint(b"1", 1)
    successor = started(ledger)
    successor.save_checkpoint(b"2", 2)
    for step in (2, 3, 4):
        zombie.save_checkpoint(b"zombie", step)
    zombie.fail(RuntimeError("killed at last"), "interrupted")
    assert state(ledger) == "started"
    successor.save_checkpoint(b"5", 5)
    assert successor.load_newest_checkpoint() == (5, b"5")
    successor.finish(RESULT, ROWS)
    zombie.save_checkpoint(b"zombie", 6)
    assert state(ledger) == "completed"


def test_no_two_attempts_share_a_number(tmp_path: Path):
    ledger = Ledger.open(str(tmp_path))
    ledger.add_trial(SPEC)
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: ledger.new_attempt(KEY), range(32)))
    assert sorted(numbers) == list(range(1, 33))


def test_a_running_attempt_shows_its_rows_now_and_then_and_takes_them_back(
    ledger: Ledger, monkeypatch
):
    attempt = started(ledger)
    assert list(ledger.running(ledger.trials().values(), 0)) == []  # it waits for a machine
    attempt.begin()
    attempt.show(ROWS)
    [(_, _, rows, _)] = ledger.running(ledger.trials().values(), 0)
    assert rows == []  # it has just begun
    monkeypatch.setattr("pipelines.ledger.attempt.SHOW_SECONDS", 0.0)
    attempt.show(ROWS)
    [(trial, begun, rows, _)] = ledger.running(ledger.trials().values(), 0)
    assert trial.key == KEY and rows == ROWS
    assert list(ledger.running(ledger.trials().values(), begun + 1)) == []
    attempt.finish(RESULT, ROWS)
    assert list(ledger.running(ledger.trials().values(), 0)) == []
    assert not [f for f in ledger.storage.files("trials") if "progress" in f.path]


def test_an_attempt_that_cannot_show_its_rows_goes_on(ledger: Ledger, monkeypatch):
    attempt = started(ledger)
    monkeypatch.setattr("pipelines.ledger.attempt.SHOW_SECONDS", 0.0)

    def full(path: str, data: bytes) -> None:
        raise OSError("full")

    with monkeypatch.context() as patch:
        patch.setattr(attempt.storage, "replace", full)
        attempt.show(ROWS)
    attempt.finish(RESULT, ROWS)
    assert state(ledger) == "completed"

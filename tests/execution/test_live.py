"""What a dashboard is told of a running study."""

import json

import pytest

from pipelines.documents import Json
from pipelines.execution.live import live_view
from pipelines.ledger import attempt
from pipelines.report.study_state import load_study_state
from tests.conftest import small_study
from tests.support.synthetic_ledger import completed, diverged, write_study

STUDY = small_study(("ce", "gce", "l2rw"))


def seen(storage: str) -> Json:
    """As it arrives on the page."""
    return json.loads(json.dumps(live_view(*load_study_state(storage)), allow_nan=False))


def arm(view: Json, name: str) -> Json:
    [line] = [line for line in view["arms"] if line["arm"] == name]
    return line


@pytest.fixture
def shows_at_once(monkeypatch) -> None:
    monkeypatch.setattr(attempt, "SHOW_SECONDS", 0.0)


def start(storage: str, rows: list[Json], number: int = 1) -> list[str]:
    """Begin so many of the trials that are missing; their keys."""
    ledger, study_state = load_study_state(storage)
    specs = [study_state.planner.ask() for _ in range(number)]
    for spec in specs:
        ledger.add_trial(spec)
        begun = ledger.attempt(spec["key"], ledger.new_attempt(spec["key"]))
        begun.begin()
        begun.show(rows)
    return [spec["key"] for spec in specs]


def test_a_study_that_nobody_drives_has_no_trial_running_and_no_time_left(tmp_path, shows_at_once):
    storage = write_study(tmp_path, STUDY, limit=5)
    start(storage, [])
    view = seen(storage)
    assert (view["driver"], view["eta"], view["running"]) == (None, None, [])
    assert view["name"] == "small" and 0 < view["done"] < view["planned"]


def test_a_running_trial_shows_its_curve(tmp_path, shows_at_once):
    storage = write_study(tmp_path, STUDY, limit=5)
    ledger, _ = load_study_state(storage)
    start(storage, [{"epoch": 1, "val/accuracy": 0.4}])  # of an earlier launch, which was killed
    with ledger.acquire_lease():
        rows = [{"epoch": 1, "val/accuracy": 0.5}, {"epoch": 2, "train/loss": None}]
        [key] = start(storage, [*rows, {"epoch": 3, "val/accuracy": 0.7, "weights/clean": [1, 2]}])
        view = seen(storage)
    [trial] = view["running"]
    assert trial["key"] == key and trial["epoch"] == 3
    assert trial["curve"] == [[1, 0.5], [3, 0.7]]
    assert trial["epochs"] == STUDY.protocol.schedule.epochs
    assert view["eta"] > 0 and "process" in view["driver"]


@pytest.mark.parametrize(("ended", "epochs"), [(0, None), (5, 4)])
def test_a_length_in_steps_is_so_many_epochs_once_a_trial_tells_its_examples(
    ended, epochs, tmp_path, shows_at_once
):
    storage = write_study(tmp_path, in_steps(35), limit=ended)  # of 11 steps for 1,097 examples
    ledger, _ = load_study_state(storage)
    with ledger.acquire_lease():
        start(storage, [])
        [trial] = seen(storage)["running"]
    assert trial["epochs"] == epochs


def in_steps(steps):
    schedule = STUDY.protocol.schedule.model_copy(update={"epochs": 60, "steps": steps})
    protocol = STUDY.protocol.model_copy(update={"schedule": schedule})
    return STUDY.model_copy(update={"protocol": protocol})


def test_machines_are_named_with_what_they_run_and_what_waits_for_one_does_not_run(
    tmp_path, shows_at_once, monkeypatch
):
    storage = write_study(tmp_path, STUDY, limit=5)
    ledger, study_state = load_study_state(storage)
    waiting = [study_state.planner.ask() for _ in range(4)][-1]
    with ledger.acquire_lease():
        hosts = iter("abb")
        monkeypatch.setattr(attempt.socket, "gethostname", lambda: next(hosts))
        start(storage, [], 3)
        ledger.add_trial(waiting)
        ledger.new_attempt(waiting["key"])
        view = seen(storage)
    assert view["hosts"] == "b 2, a 1" and len(view["running"]) == 3


def test_a_long_curve_is_thinned_and_keeps_its_end(tmp_path, shows_at_once):
    storage = write_study(tmp_path, STUDY, limit=5)
    ledger, _ = load_study_state(storage)
    with ledger.acquire_lease():
        start(storage, [{"epoch": e, "val/accuracy": 0.5} for e in range(1, 1001)])
        [trial] = seen(storage)["running"]
    epochs = [epoch for epoch, _ in trial["curve"]]
    assert 50 <= len(epochs) <= 100 and epochs[-1] == 1000 and epochs == sorted(epochs)


def test_the_time_left_is_spread_over_the_trials_that_run(tmp_path, shows_at_once):
    storage = write_study(tmp_path, STUDY, limit=5)
    ledger, _ = load_study_state(storage)
    with ledger.acquire_lease():
        alone = seen(storage)["eta"]
        assert len(set(start(storage, [], 2))) == 2
        assert seen(storage)["eta"] == pytest.approx(alone / 2)


def test_final_runs_show_their_mean_on_val(tmp_path):
    storage = write_study(tmp_path, STUDY)
    view = seen(storage)
    _, study_state = load_study_state(storage)
    scores = [r.val for r in study_state.records if r.arm == "ce" and r.role == "final"]
    assert arm(view, "ce")["final_runs"] == len(scores)
    assert arm(view, "ce")["final_val"] == pytest.approx(sum(scores) / len(scores))
    assert view["done"] == view["planned"]


def test_what_went_wrong_is_told_and_numbers_that_json_lacks_are_left_out(tmp_path):
    def outcome(spec: Json):
        if spec["arm"] == "ce":
            return OSError("no such disk")
        result, history = diverged(spec) if spec["arm"] == "gce" else completed(spec)
        if spec["arm"] == "gce":
            result["val"] = {"last": -float("inf"), "selected": -float("inf")}
        return result, history

    view = seen(write_study(tmp_path, STUDY, outcome))
    assert "no such disk" in view["wrong"][0] and arm(view, "ce")["failed"] > 0
    assert arm(view, "gce")["best_val"] is None and arm(view, "gce")["diverged"] > 0

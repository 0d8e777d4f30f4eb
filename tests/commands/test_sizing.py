"""How much of a study fits into a time."""

import pytest

from pipelines.commands import sizing
from pipelines.commands.new import new_study
from pipelines.commands.sizing import FEWEST, FILLED, START_SECONDS, fitting
from pipelines.execution.estimate import Estimate
from pipelines.planning.planner import Planner
from pipelines.study.study_file import load_study
from tests.commands.test_new import arrays
from tests.conftest import small_study

ARMS = ["ce", "gce", "sce", "finetune_long", "l2rw", "l2rw_safe", "logistic_regression"]
SECONDS = dict.fromkeys(ARMS, 2.0)


def sized(minutes, workers=1, epochs=60):
    study = small_study(ARMS)
    schedule = study.protocol.schedule.model_copy(update={"epochs": epochs})
    protocol = study.protocol.model_copy(update={"schedule": schedule})
    study = study.model_copy(update={"protocol": protocol})
    return study, fitting(study, SECONDS, 60 * minutes, workers)


def test_what_is_chosen_fits_and_takes_what_its_trials_take():
    for minutes in (8, 15, 30, 60, 600):
        study, size = sized(minutes)
        assert START_SECONDS + size.seconds <= FILLED * 60 * minutes
        changes = {name: getattr(size, name) for name in ("arms", "trials", "repeats", "seeds")}
        request = study.request.model_copy(update=changes)
        planner = Planner(study.model_copy(update={"request": request}), "plan", {}, {})
        trials = sum(planner.planned.values())
        assert size.seconds == pytest.approx(2.0 * trials * size.epochs / 60)


def test_more_time_is_more_trials_then_more_arms_then_whole_epochs():
    sizes = [sized(minutes)[1] for minutes in (1, 5, 15, 30, 60, 600)]
    amounts = [size.seconds for size in sizes]
    assert amounts == sorted(amounts) and len({*amounts}) > 3
    assert sizes[-1].arms == ARMS and sizes[-1].repeats == 5 and sizes[-1].epochs == 60
    assert {*sizes[0].arms} == {*FEWEST, "logistic_regression"} and sizes[0].epochs == 15


def test_the_least_there_is_comes_of_no_time():
    _, size = sized(0.1)
    assert (size.trials, size.repeats, size.seeds) == (2, 1, 1)


def test_more_workers_do_more():
    assert sized(10, workers=8)[1].repeats >= sized(10)[1].repeats
    assert sized(600, workers=4)[1].seconds == pytest.approx(sized(600)[1].seconds / 4)


def test_short_studies_are_not_made_shorter_than_ten_epochs():
    assert sized(0.1, epochs=12)[1].epochs == 10
    assert sized(0.1, epochs=5)[1].epochs == 5


@pytest.mark.parametrize(
    ("seconds", "told"), [(1.0, "Sized for 30 min"), (1e6, "More than 30 min")]
)
def test_new_writes_a_study_of_that_size(tmp_path, monkeypatch, seconds, told):
    monkeypatch.setenv("UNTUNED_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sizing,
        "estimate",
        lambda study: {arm: Estimate(10, 0, 10 * seconds, 0) for arm in study.request.arms},
    )
    said = []
    file, _ = new_study("some", arrays(tmp_path / "d.npz", [40, 40]), minutes=30, say=said.append)
    text, study = file.read_text(), load_study(str(file))
    assert told in text and told in said[-1]
    assert f"trials: {study.request.trials}" in text
    if seconds > 1:
        assert {*study.request.arms} == {*FEWEST}

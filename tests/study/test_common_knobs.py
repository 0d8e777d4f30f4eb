"""What may be a common knob, and what is told of one that may not."""

import pytest

from pipelines.errors import UserError
from pipelines.study.study_file import parse_study
from tests.conftest import small_study

LR = {"schedule.lr": {"low": 0.01, "high": 0.1, "log": True}}


def test_common_knobs_survive_being_written_down():
    study = small_study(["ce"], common=LR)
    again = parse_study(study.model_dump(mode="json", by_alias=True), "request.json")
    assert again == study and again.request.common_trials == 4
    without = small_study(["ce"])
    assert parse_study(without.model_dump(mode="json", by_alias=True), "request.json") == without


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"common": {"q": {"low": 0, "high": 1}}}, "'q' is not common to all arms: schedule.batch"),
        ({"common": {"schedule.epochs": {"low": 1, "high": 9}}}, "'schedule.epochs' is not common"),
        ({"common": {"lr": {"low": 0.1, "high": 1}}}, "'lr' is not common to all arms"),
        ({"common": {"schedule.lr": {"low": 1}}}, "high is missing"),
        ({"common": {"schedule.lr": {"low": 0.0, "high": 1}}}, "schedule.lr = 0.0: Input should"),
        (
            {"common": {"schedule.decay": {"choices": ["up"]}}},
            "schedule.decay = 'up': ",
        ),
        ({"common_trials": 3}, "common_trials: request.common names nothing to choose"),
        ({"common": LR, "common_trials": 0}, "request.common_trials = 0: "),
        ({"common": LR, "sensitivity": ["ce"]}, "request.sensitivity: it moves knobs about"),
    ],
)
def test_what_cannot_be_common_is_refused_in_one_line(request_, told):
    with pytest.raises(UserError) as error:
        small_study(["ce"], **request_)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_without_val_there_is_nothing_to_choose_by():
    raw = small_study(["ce"], common=LR).model_dump(mode="json", by_alias=True)
    raw["protocol"]["splits"]["val"] = 0
    with pytest.raises(UserError, match=r"request.common: splits.val = 0"):
        parse_study(raw, "small")


def test_every_arm_must_allow_what_is_common():
    knobs = {"schedule.optimizer": {"choices": ["sgd", "adamw"]}}
    with pytest.raises(UserError, match=r"common: arm 'lr_descent': .* needs optimizer sgd"):
        small_study(["ce", "lr_descent"], common=knobs)

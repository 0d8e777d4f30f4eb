"""Kinds of search, and by what they may go: what cannot be is refused in one line."""

import pytest

from pipelines.errors import UserError
from pipelines.study.protocol import protocol_hash
from pipelines.study.study_file import Study, parse_study
from tests.conftest import DIGITS


def study(request: dict | None = None, **protocol) -> Study:
    asked = {"arms": ["gce"]} | (request or {})
    return parse_study({"name": "s", "protocol": DIGITS | protocol, "request": asked}, "s")


@pytest.mark.parametrize("search", ["random", "tpe", "gp", "nsga2", "qmc", "grid", "mine:own"])
@pytest.mark.parametrize("aim", ["passes", "worst_class_recall", "nll"])
def test_a_search_may_go_by_cost_or_by_another_metric_beside_val(search, aim):
    assert study(search=search, second_aim=aim).protocol.second_aim == aim


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ({"second_aim": "seconds"}, "second_aim = 'seconds': Input should be 'passes', or a metr"),
        ({"second_aim": "accuracy"}, "second_aim = 'accuracy' is the metric itself"),
        ({"second_aim": "robust_accuracy"}, "is of attacked inputs: give the protocol an attack"),
        ({"second_aim": "nll", "search": "cmaes"}, "search = 'cmaes' goes by one number"),
        ({"search": "nsga2"}, "search = 'nsga2' is for two aims: give second_aim"),
    ],
)
def test_what_is_no_second_aim_is_refused(protocol, message):
    with pytest.raises(UserError) as refused:
        study(**protocol)
    assert message in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("rule", ["halving", "median"])
def test_trials_of_two_aims_are_not_stopped_early(rule):
    with pytest.raises(UserError, match=f"request.stopping = '{rule}': trials are stopped by val"):
        study({"stopping": rule}, second_aim="passes")


def test_a_study_without_a_second_aim_has_the_keys_it_had():
    without = study().protocol
    assert "second_aim" in without.model_dump()
    assert protocol_hash(without, "x") != protocol_hash(study(second_aim="nll").protocol, "x")
    assert "second_aim" not in str(without.model_fields_set)

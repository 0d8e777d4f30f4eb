"""Searches that begin with configurations from elsewhere: the same trials, whatever happens."""

import pytest

from pipelines.planning.assignments import suggested_by
from pipelines.planning.planner import Planner
from pipelines.study.study_file import Study
from tests.conftest import small_study
from tests.planning.test_planner import drain

GIVEN = {"configs": {"gce": [{"q": 0.5}, {"q": 0.9}]}}


def study(search: str = "random", arms=("ce", "gce"), **request) -> Study:
    asked = small_study(arms, **({"trials": 4, "repeats": 2} | request))
    protocol = asked.protocol.model_copy(update={"search": search})
    return asked.model_copy(update={"protocol": protocol})


def searched(asked: Study, before=()) -> dict[tuple[int, int], float]:
    """q by repeat and index; before: specs of earlier launches."""
    plan = Planner(asked, "protocol", {}, suggested_by(before, asked.arms))
    specs = drain(plan)
    return {(s["repeat"], s["index"]): s["config"]["q"] for s in specs if s["role"] == "search"}


@pytest.mark.parametrize("search", ["random", "tpe", "cmaes", "qmc", "grid"])
def test_a_search_begins_with_them_after_the_default_and_then_goes_on_by_itself(search):
    plain, begun = searched(study(search)), searched(study(search, warm_start=GIVEN))
    for repeat in (0, 1):
        assert [begun[repeat, i] for i in range(3)] == [0.7, 0.5, 0.9]
    assert begun.keys() == plain.keys()  # they are among the trials
    assert len(set(begun.values())) > 3
    if search in ("random", "qmc", "grid"):
        assert all(begun[place] == plain[place] for place in begun if place[1] > 2)


def test_fewer_trials_begin_with_fewer_and_more_go_on():
    short, long = (searched(study(trials=n, warm_start=GIVEN)) for n in (1, 6))
    assert short.items() <= long.items() and short[0, 1] == 0.5


def test_a_request_that_names_them_later_or_no_more_keeps_all_other_trials():
    plain, begun = study(), study(warm_start=GIVEN)
    specs = drain(Planner(plain, "protocol", {}, {}))
    assert searched(begun, specs) == searched(begun)
    specs += drain(Planner(begun, "protocol", {}, suggested_by(specs, begun.arms)))
    assert searched(plain, specs) == searched(plain)


def test_there_are_no_curve_trials_of_such_a_search():
    roles = {s["role"] for s in drain(Planner(study(warm_start=GIVEN), "protocol", {}, {}))}
    assert roles == {"search", "default", "final"}
    whole = {"configs": {"gce": [{"q": 0.7}]}}  # the default alone: nothing is given
    assert "curve" in {s["role"] for s in drain(Planner(study(warm_start=whole), "p", {}, {}))}


def test_common_values_stand_beside_them():
    common = {"common": {"schedule.lr": {"low": 0.01, "high": 0.1, "log": True}}}
    plan = Planner(study(warm_start=GIVEN, **common), "protocol", {}, {})
    drain(plan)
    chosen = [s for a, s in plan.assigned.items() if a.common and a.role == "search"]
    assert {s["config"]["q"] for s in chosen if s["index"] == 1} == {0.5}
    assert len({s["key"] for s in chosen}) == 10


def test_halving_stops_them_as_any_other():
    plan = Planner(study(warm_start=GIVEN, stopping="halving"), "protocol", {}, {})
    first = plan.ask()
    while first and (first["role"], first["index"]) != ("search", 1):
        first = plan.ask()
    assert first and first["config"] == {"q": 0.5} and plan.rung(first["key"])

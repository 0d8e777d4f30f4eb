"""A search by two aims: what its trials are compared by, and that it goes on as it was."""

from math import nan
from typing import Any

import pytest

from pipelines.ledger.record import TrialRecord
from pipelines.planning.assignments import Search, suggested_by
from pipelines.planning.planner import Planner
from pipelines.planning.second_aim import directions, scores_on_val, second_of, values_of
from pipelines.planning.specs import Ended
from pipelines.study.protocol import Protocol
from pipelines.study.study_file import Study, parse_study
from tests.conftest import DIGITS

ROWS = [
    {"epoch": 1, "val/accuracy": 0.5, "val/nll": 2.0, "val/worst_class_recall": 0.2},
    {"epoch": 2, "val/accuracy": 0.4, "val/nll": 3.0, "val/worst_class_recall": 0.1},
]


def study(search: str, aim: str = "passes", trials: int = 19) -> Study:
    raw = {"name": "s", "protocol": DIGITS | {"search": search, "second_aim": aim}}
    request = {"arms": ["sce"], "trials": trials, "repeats": 2, "seeds": 1}
    return parse_study(raw | {"request": request}, "s")


def aims(spec) -> tuple[float, float]:
    alpha, beta = spec["config"]["alpha"], spec["config"]["beta"]
    return -abs(alpha - 0.2), abs(beta - 0.8)


def trial_record(**result: Any) -> TrialRecord:
    found: Any = {"status": "completed", "passes": 900, "selected_epoch": 1} | result
    nothing: Any = None
    return TrialRecord("k", nothing, found, None, 1, None, 0, 2, nothing)


def run(plan: Planner, limit: int = 10_000) -> dict[str, Any]:
    """Trials one after another; what was told of each, by key."""
    ended: dict[str, Any] = {}
    while len(ended) < limit and (spec := plan.ask()) is not None:
        score, second = aims(spec)
        plan.tell(spec["key"], score, None, second)
        ended[spec["key"]] = spec, score, second
    return ended


@pytest.mark.parametrize("search", ["nsga2", "tpe", "random"])
def test_a_search_by_two_aims_goes_on_and_grows_without_another_one_coming_of_it(search):
    whole = run(Planner(study(search), "p", {}, {}))
    ended: dict[str, Any] = {}
    for trials, limit in ((11, 9), (11, 10_000), (19, 10_000)):  # killed; resumed; extended
        asked = study(search, trials=trials)
        scores = {key: score for key, (_, score, _) in ended.items()}
        seconds = {key: second for key, (*_, second) in ended.items()}
        found = suggested_by((spec for spec, *_ in ended.values()), asked.arms)
        more = run(Planner(asked, "p", scores, found, second=seconds), limit)
        assert not more.keys() & ended.keys()
        ended |= more
    searched = {key for key, (spec, *_) in whole.items() if spec["role"] == "search"}
    assert len(searched) == 40 and searched <= ended.keys()
    assert {key: ended[key] for key in searched} == {key: whole[key] for key in searched}


@pytest.mark.parametrize("search", ["nsga2"])
def test_a_learning_search_goes_by_the_second_aim_too(search):
    one, other = (run(Planner(study(search, aim), "p", {}, {})) for aim in ("passes", "auroc"))
    assert one.keys() != other.keys()  # the same values, lower or higher is better


def test_selected_is_the_highest_val_whatever_the_second_aim_says():
    plan = Planner(study("nsga2"), "p", {}, {})
    ended = run(plan)
    for repeat in (0, 1):
        rivals = [e for e in ended.values() if (e[0]["role"], e[0]["repeat"]) == ("search", repeat)]
        best = max(rivals, key=lambda e: e[1])
        assert plan.chosen(Search("", "sce", repeat)) == best[0]["config"]


def test_a_trial_that_diverged_is_no_cheap_one_and_one_that_failed_is_none():
    searched = {
        0: Ended({}, 0.8, 300.0),
        1: Ended({}, 0.0, None),  # diverged
        2: Ended({}, None, None),  # failed
        3: Ended({}, 0.7, 200.0),
        4: Ended({}, nan, 100.0),  # has no val
    }
    assert values_of(searched, "passes") == {
        0: (0.8, 300), 1: (0.0, 300), 2: None, 3: (0.7, 200), 4: None,
    }  # fmt: skip
    assert values_of(searched, "auroc")[1] == (0.0, 100)
    assert values_of(searched, None) == {0: (0.8,), 1: (0.0,), 2: None, 3: (0.7,), 4: None}
    assert [directions(aim) for aim in (None, "passes", "nll")] == [
        ["maximize"], ["maximize", "minimize"], ["maximize", "maximize"],
    ]  # fmt: skip


@pytest.mark.parametrize(("rule", "epoch"), [("last", 2), ("selected", 1)])
def test_the_second_aim_is_of_the_epoch_whose_weights_count(rule, epoch):
    protocol = Protocol.model_validate(DIGITS | {"epoch": rule})
    trial = trial_record()
    row = ROWS[epoch - 1]
    assert second_of(trial, ROWS, protocol, "worst_class_recall") == row["val/worst_class_recall"]
    assert second_of(trial, ROWS, protocol, "nll") == -row["val/nll"]  # a score: higher is better
    assert second_of(trial, ROWS, protocol, "auroc") is None  # an older version's row
    assert second_of(trial, (), protocol, "passes") == 900
    assert scores_on_val(trial_record(status="diverged"), ROWS, protocol) == {}

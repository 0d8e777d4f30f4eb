"""Common knobs: every arm gets the same few trials over them, and its own search on top."""

from collections import Counter

import pytest

from pipelines.documents import digest
from pipelines.errors import UserError
from pipelines.planning.assignments import Search, suggested_by
from pipelines.planning.common import check_common
from pipelines.planning.planner import Planner
from pipelines.study.study_file import parse_study
from tests.conftest import small_study

KEYS = "f4d53e7669e36861d5f7bcc7324c0bd10cb922151a210d03d7890f836254e263"
LR = {"low": 0.005, "high": 0.5, "log": True}
COMMON = {"common": {"schedule.lr": LR}, "common_trials": 3}
OWN_LR = 0.05  # of the small study


def study(arms=("ce", "gce"), **request):
    return small_study(arms, **({"repeats": 1} | COMMON | request))


def planner(asked, outcomes=None, suggested=None):
    return Planner(asked, "protocol", outcomes or {}, suggested or {})


def lr_of(spec):
    return spec["phases"][0]["schedule"].get("lr", OWN_LR)


def lower_is_better(spec):
    """A val that rises as the learning rate falls, and with q."""
    return spec["config"].get("q", 0.5) / 100 - lr_of(spec)


def own_values_are_best(spec):
    return float(lr_of(spec) == OWN_LR)


def drain(plan, score=lower_is_better):
    specs = []
    while (spec := plan.ask()) is not None:
        specs.append(spec)
        plan.tell(spec["key"], score(spec))
    assert plan.finished and plan.done == plan.planned
    return specs


def assigned(plan, role, arm="gce", common=True):
    return [s for a, s in plan.assigned.items() if (a.role, a.arm, a.common) == (role, arm, common)]


def test_every_arm_has_its_results_twice_and_the_trials_that_choose():
    plan = planner(study(trials=2, seeds=2))
    drain(plan)
    roles = Counter((a.arm, a.common, a.role) for a in plan.assigned)
    assert roles == {
        ("ce", False, "final"): 2,
        ("ce", True, "common"): 4,
        ("ce", True, "final"): 2,
        ("gce", False, "search"): 3,
        ("gce", False, "default"): 2,
        ("gce", False, "final"): 2,
        ("gce", True, "common"): 4,
        ("gce", True, "search"): 3,
        ("gce", True, "default"): 2,
        ("gce", True, "curve"): 3,  # b* is told of what was chosen alone
        ("gce", True, "final"): 2,
    }


def test_the_first_are_the_studys_own_values_and_the_others_the_same_for_all_arms():
    plan = planner(study())
    drain(plan)
    tried = {arm: list(map(lr_of, assigned(plan, "common", arm))) for arm in ("ce", "gce")}
    first, *others = tried["ce"]
    assert tried["ce"] == tried["gce"] and first == OWN_LR
    assert len({*others}) == 3 and all(0.005 <= lr <= 0.5 for lr in others)


def test_they_are_tried_at_the_default_with_one_run_seed_that_nothing_else_has():
    plan = planner(study(["gce"]))
    specs = drain(plan)
    tried = assigned(plan, "common")
    assert {spec["config"]["q"] for spec in tried} == {0.7}
    [seed] = {spec["run_seed"] for spec in tried}
    assert seed not in {spec["run_seed"] for spec in specs if spec["role"] != "common"}


def test_each_arm_takes_what_is_best_on_val_and_is_searched_on_top_of_it():
    plan = planner(study(["ce", "gce"], trials=4))
    drain(plan)
    best = min(map(lr_of, assigned(plan, "common")))
    for role in ("search", "curve", "default", "final"):
        assert {lr_of(spec) for spec in assigned(plan, role)} == {best}
    assert assigned(plan, "final", "ce")[0]["config"] == {"schedule.lr": best}
    chosen = plan.chosen(Search("", "gce", 0, common=True))
    own = [spec["config"]["q"] for spec in assigned(plan, "search")]
    assert chosen == {"q": max(own), "schedule.lr": best}
    assert own == [spec["config"]["q"] for spec in assigned(plan, "search", common=False)]


def test_where_the_studys_own_values_are_best_nothing_runs_twice():
    plan = planner(study(["ce", "gce"], curve=False))
    drain(plan, own_values_are_best)
    for role in ("search", "default", "final"):
        twice = [[s["key"] for s in assigned(plan, role, common=c)] for c in (False, True)]
        assert twice[0] == twice[1]


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_an_existing_study_keeps_all_its_trials(search):
    raw = study(["ce", "gce", "l2rw"], trials=3).model_dump(mode="json", by_alias=True)
    raw["protocol"]["search"] = search
    with_common = parse_study(raw, "small")
    del raw["request"]["common"], raw["request"]["common_trials"]
    without = planner(parse_study(raw, "small"))
    keys = {spec["key"] for spec in drain(without) if spec["role"] != "curve"}
    outcomes = {s["key"]: lower_is_better(s) for s in without.assigned.values()}
    plan = planner(with_common, outcomes, suggested_by(without.assigned.values(), without.arms))
    assert not keys & {spec["key"] for spec in drain(plan)}
    assert keys <= {spec["key"] for spec in plan.assigned.values()}


def test_keys_of_a_study_without_common_knobs_are_those_of_before():
    """Of commit ebf20b7."""
    specs = drain(planner(small_study(["ce", "gce", "finetune"], trials=2)), own_values_are_best)
    assert digest(sorted(spec["key"] for spec in specs)) == KEYS


def test_what_a_phase_has_of_its_own_stays():
    plan = planner(study(["finetune"]))
    drain(plan)
    noisy, finetune = assigned(plan, "final", "finetune")[0]["phases"]
    own = small_study(["finetune"]).arms["finetune"].resolve({})[1].schedule["lr"]
    assert noisy["schedule"]["lr"] < OWN_LR and finetune["schedule"]["lr"] == own


@pytest.mark.parametrize("arm", ["clean_only_all", "lr_tuned"])
def test_an_arm_for_which_val_cannot_choose_or_that_has_its_own_stays_as_it_is(arm):
    plan = planner(study([arm]))
    drain(plan)
    assert not [a for a in plan.assigned if a.common]
    assert all(plan.shows(a.search) for a in plan.assigned)


def test_more_trials_may_change_the_choice_and_repeat_nothing():
    small, outcomes = planner(study(["gce"])), {}
    for spec in drain(small):
        outcomes[spec["key"]] = lower_is_better(spec)
    suggested = suggested_by(small.assigned.values(), small.arms)
    grown = planner(study(["gce"], common_trials=9), outcomes, suggested)
    specs = drain(grown)
    assert not outcomes.keys() & {spec["key"] for spec in specs}
    tried = list(map(lr_of, assigned(grown, "common")))
    assert tried[:4] == list(map(lr_of, assigned(small, "common")))
    assert {lr_of(spec) for spec in assigned(grown, "final")} == {min(tried)}


@pytest.mark.parametrize("jobs", [1, 6])
def test_a_study_that_is_cut_off_ends_as_an_undisturbed_one(jobs):
    whole = planner(study(["gce"]))
    expected = {spec["key"] for spec in drain(whole)}
    outcomes, suggested = {}, {}
    while not (plan := planner(study(["gce"]), outcomes, suggested)).finished:
        for spec in (plan.ask() for _ in range(jobs)):
            if spec:
                suggested |= suggested_by([spec], plan.arms)
                outcomes[spec["key"]] = lower_is_better(spec)
                plan.tell(spec["key"], outcomes[spec["key"]])
    assert outcomes.keys() == expected and plan.assigned == whole.assigned


def test_where_all_trials_failed_nothing_is_chosen_and_nothing_is_waited_for():
    plan = planner(study(["gce"]))
    drain(plan, lambda spec: None if spec["role"] == "common" else lower_is_better(spec))
    assert {a.role for a in plan.assigned if a.common} == {"common"}
    assert assigned(plan, "final", common=False)


def test_choices_are_tried_once_each_and_no_more_are_asked_for():
    values = [0.0125, 0.2]
    asked = study(["ce"], common={"schedule.lr": {"choices": values}}, common_trials=2)
    plan = planner(asked)
    drain(plan)
    assert sorted(map(lr_of, assigned(plan, "common", "ce"))) == [0.0125, OWN_LR, 0.2]
    check_common(asked)
    with pytest.raises(UserError, match=r"common_trials = 3: .* has 2 points"):
        check_common(study(["ce"], common={"schedule.lr": {"choices": values}}))


def test_trials_may_be_stopped_early_in_either_column():
    asked = study(["gce"], trials=8, stopping="halving", curve=False)
    plan = planner(asked)
    assert {search.common for search in plan.brackets} == {False, True}

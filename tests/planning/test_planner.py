"""What a study runs next: roles, equal quotas, identity, resume and growth."""

from collections import Counter

import pytest

from pipelines.planning.assignments import Search, suggested_by
from pipelines.planning.planner import Planner
from tests.conftest import small_study


def planner(study, outcomes=None, suggested=None):
    return Planner(study, "protocol", outcomes or {}, suggested or {})


def drain(plan, score=lambda spec: spec["config"].get("q", 0.5)):
    """Run everything, one trial at a time; the specs in order."""
    specs = []
    while (spec := plan.ask()) is not None:
        specs.append(spec)
        plan.tell(spec["key"], score(spec))
    assert plan.finished
    return specs


def test_a_study_has_its_roles():
    plan = planner(small_study(["ce", "gce"], trials=3, repeats=2, seeds=2))
    drain(plan)
    roles = Counter((role.arm, role.role) for role in plan.assigned)
    assert roles == {
        ("ce", "final"): 4,
        ("gce", "search"): 8,
        ("gce", "curve"): 8,
        ("gce", "default"): 4,
        ("gce", "final"): 4,
    }
    assert plan.done == plan.planned == {"ce": 4, "gce": 24}


def test_trial_0_is_the_published_default():
    plan = planner(small_study(["gce", "sce"]))
    specs = drain(plan)
    first = [s for s in specs if s["role"] == "search" and s["index"] == 0]
    assert [s["config"] for s in first] == [{"q": 0.7}, {"alpha": 0.1, "beta": 1.0}] * 2


def test_the_final_phase_runs_the_configuration_with_the_best_val_with_fresh_seeds():
    plan = planner(small_study(["gce"], trials=4, repeats=1, seeds=2))
    specs = drain(plan, score=lambda spec: -spec["config"]["q"])
    searched = [s for s in specs if s["role"] == "search"]
    best = min(searched, key=lambda s: s["config"]["q"])
    finals = [s for s in specs if s["role"] == "final"]
    assert [s["config"] for s in finals] == [best["config"]] * 2
    assert not {s["run_seed"] for s in finals} & {s["run_seed"] for s in searched}


def test_of_equal_scores_the_lowest_index_is_chosen():
    plan = planner(small_study(["gce"], trials=4, repeats=1))
    drain(plan, score=lambda spec: 0.5)
    assert plan.chosen(Search("", "gce", 0)) == {"q": 0.7}


def test_a_trial_that_serves_two_roles_runs_once():
    plan = planner(small_study(["gce"], trials=2, repeats=1, seeds=2))
    specs = drain(plan, score=lambda spec: float(spec["config"]["q"] == 0.7))
    keys = [spec["key"] for spec in specs]
    assert len(set(keys)) == len(keys) == 3 + 3 + 2
    assert plan.done == plan.planned == {"gce": 10}


def test_every_comparison_is_paired():
    specs = drain(planner(small_study(["gce", "sce", "l2rw"], repeats=2)))
    data = {(s["arm"], s["repeat"]): s["data_seed"] for s in specs}
    assert len(set(data.values())) == 2 and data["gce", 1] == data["l2rw", 1]
    seeds = {}
    for s in specs:
        place = ("final" if s["role"] == "default" else s["role"], s["repeat"], s["index"])
        assert seeds.setdefault(place, s["run_seed"]) == s["run_seed"]
    assert len(set(seeds.values())) == len(seeds)


def test_quotas_are_equal_at_any_time():
    plan = planner(small_study(["gce", "sce", "focal"], trials=5, repeats=2))
    counts = Counter()
    for _ in range(36):
        counts[plan.ask()["arm"]] += 1
        assert max(counts.values()) - min(counts[a] for a in ("gce", "sce", "focal")) <= 2


def test_a_study_that_is_replayed_asks_for_the_same_trials():
    study = small_study(["gce", "l2rw"])
    keys = [s["key"] for s in drain(planner(study))]
    assert keys == [s["key"] for s in drain(planner(study))]


def test_what_is_finished_is_not_asked_for_again():
    study = small_study(["gce", "l2rw"])
    everything = drain(planner(study))
    done = {s["key"]: s["config"].get("q", 0.5) for s in everything[:7]}
    rest = drain(planner(study, outcomes=done))
    assert [s["key"] for s in rest] == [s["key"] for s in everything[7:]]
    assert (
        planner(study, outcomes={s["key"]: s["config"].get("q", 0.5) for s in everything}).ask()
        is None
    )


@pytest.mark.parametrize(
    "more", [{"trials": 5}, {"repeats": 3}, {"seeds": 3}, {"arms": ["gce", "l2rw", "ce"]}]
)
def test_a_larger_request_runs_only_what_is_missing(more):
    base = {"arms": ["gce", "l2rw"]} | {}
    first = drain(planner(small_study(**base)))
    done = {s["key"]: s["config"].get("q", 0.5) for s in first}
    grown = small_study(**(base | more))
    extra = drain(planner(grown, outcomes=done))
    assert extra and not {s["key"] for s in extra} & set(done)
    assert {s["key"] for s in extra} <= {s["key"] for s in drain(planner(grown))}


def test_a_failed_search_trial_is_never_chosen():
    plan = planner(small_study(["gce"], trials=2, repeats=1))
    drain(plan, score=lambda spec: None if spec["config"]["q"] == 0.7 else 0.1)
    assert plan.chosen(Search("", "gce", 0))["q"] != 0.7


def test_an_arm_whose_search_failed_altogether_has_no_final_phase():
    plan = planner(small_study(["gce"], trials=1, repeats=1))
    specs = drain(plan, score=lambda spec: None)
    assert not [s for s in specs if s["role"] == "final"]
    assert plan.done == plan.planned


def test_a_lost_trial_is_handed_out_again_under_its_own_key():
    plan = planner(small_study(["gce"]))
    spec = plan.ask()
    plan.again(spec["key"])
    assert plan.ask() == spec


def searched_by(search, **request):
    study = small_study(["gce"], repeats=1, **request)
    return study.model_copy(
        update={"protocol": study.protocol.model_copy(update={"search": search})}
    )


@pytest.mark.parametrize(("search", "trials"), [("tpe", 30), ("gp", 22)])
def test_a_model_of_the_scores_learns_from_what_was_found(search, trials):
    """With the best score at q = 0.2 the later suggestions gather there; random ones do not."""
    study = searched_by(search, trials=trials)
    specs = [s for s in drain(planner(study), score=lambda s: -abs(s["config"]["q"] - 0.2))]
    late = [s["config"]["q"] for s in specs if s["role"] == "search"][-10:]
    assert sum(abs(q - 0.2) < 0.15 for q in late) >= 7
    assert not [s for s in specs if s["role"] == "curve"]


@pytest.mark.parametrize("search", ["tpe", "gp"])
def test_an_interrupted_trial_keeps_its_configuration(search):
    study = searched_by(search, trials=12)
    plan = planner(study)
    done, suggested = {}, {}
    for _ in range(11):
        spec = plan.ask()
        suggested |= suggested_by([spec], study.arms)
        plan.tell(spec["key"], spec["config"]["q"])
        done[spec["key"]] = spec["config"]["q"]
    interrupted = plan.ask()
    again = planner(study, done, suggested | suggested_by([interrupted], study.arms))
    assert again.ask() == interrupted


def test_a_suggestion_of_another_space_is_not_reused():
    study = small_study(["gce"], repeats=1)
    suggested = {("", "gce", 0, k, "another space"): {"q": 0.123} for k in range(3)}
    assert 0.123 not in [s["config"]["q"] for s in drain(planner(study, suggested=suggested))]


def test_a_sensitivity_study_moves_one_knob_at_a_time():
    plan = planner(small_study(["gce", "mw_net"], repeats=1, sensitivity=["gce", "mw_net"]))
    specs = [s for s in drain(plan) if s["role"] == "sensitivity"]
    moved = {
        (s["arm"], knob, s["config"][knob]) for s in specs for knob in s["config"] if knob != "q"
    }
    assert {value for arm, knob, value in moved if (arm, knob) == ("gce", "schedule.lr")} == {
        0.0125,
        0.025,
        0.1,
        0.2,
    }
    assert {v for arm, knob, v in moved if knob == "hidden"} == {25, 50, 200, 400}
    assert len(specs) == 2 * 4 + 4 * 4
    assert all(s["config"]["q"] == 0.7 for s in specs if s["arm"] == "gce")
    wide = next(s for s in specs if s["config"].get("hidden") == 400)
    assert wide["phases"][0]["hyperparameters"]["hidden"] == 400


def test_sensitivity_and_default_trials_share_the_seeds_of_final_ones():
    specs = drain(planner(small_study(["gce", "ce"], repeats=1, sensitivity=["gce"])))
    first = {s["run_seed"] for s in specs if s["role"] in ("default", "sensitivity")}
    assert first == {s["run_seed"] for s in specs if s["arm"] == "ce"}


AXES = {"noise.rate": [0.0, 0.4], "splits.meta": [20, 50]}


def test_every_scenario_is_the_whole_study_under_a_changed_protocol():
    study = small_study(["gce", "ce"], axes=AXES)
    plan = planner(study)
    specs = drain(plan)
    assert list(study.scenarios) == ["", "noise.rate=0.0", "splits.meta=20"]
    per_scenario = Counter(s["scenario"] for s in specs)
    assert len(set(per_scenario.values())) == 1 and len({s["key"] for s in specs}) == len(specs)
    assert {s["scenario"]: s["change"] for s in specs} == study.scenarios
    assert [s["scenario"] for s in specs] == sorted(s["scenario"] for s in specs)
    seeds = {s["scenario"]: s["data_seed"] for s in specs if s["repeat"] == 0}
    assert len(set(seeds.values())) == 3
    assert plan.planned == plan.done


def test_scenarios_search_the_same_configurations_and_leave_the_studys_own_trials_alone():
    plain = drain(planner(small_study(["gce"])))
    with_axes = drain(planner(small_study(["gce"], axes=AXES)))
    assert [s["key"] for s in with_axes[: len(plain)]] == [s["key"] for s in plain]
    searched = {
        (s["scenario"], s["repeat"], s["index"]): s["config"]
        for s in with_axes
        if s["role"] == "search"
    }
    for (_, repeat, index), config in searched.items():
        assert searched["", repeat, index] == config


def test_what_is_finished_has_its_roles_whatever_is_missing_before_it():
    study = small_study(["ce", "gce"], trials=3, repeats=2, seeds=2)
    whole = planner(study)
    specs = drain(whole)
    lost = {s["key"] for s in specs if s["role"] == "search" and s["index"] == 1}
    outcomes = {s["key"]: s["config"].get("q", 0.5) for s in specs if s["key"] not in lost}
    suggested = suggested_by(specs, study.arms)
    part = planner(study, outcomes, suggested)
    # Without its whole search no configuration is chosen, so no final trial is known.
    waiting = {"search": 1, "final": 2}
    expected = {
        assignment: spec
        for assignment, spec in whole.assigned.items()
        if spec["key"] not in lost and not (assignment.arm == "gce" and assignment.role == "final")
    }
    assert part.assigned == expected
    assert part.planned["gce"] - part.done["gce"] == 2 * sum(waiting.values())
    assert [part.ask()["key"] for _ in lost] == [s["key"] for s in specs if s["key"] in lost]


def test_to_ask_whether_it_is_finished_changes_nothing():
    plan = planner(small_study(["gce"], trials=1, repeats=1))
    before = (list(plan.assigned), plan.done, plan.planned)
    assert not plan.finished
    assert (list(plan.assigned), plan.done, plan.planned) == before

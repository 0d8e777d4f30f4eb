"""Searches whose trials are stopped early: the same trials in the end, however they came to run."""

import heapq
from random import Random

import numpy as np
import pytest

from pipelines.analysis.early_stopping import outcome
from pipelines.analysis.record import Course
from pipelines.analysis.stopping import Halving, Median
from pipelines.errors import UserError
from pipelines.planning.assignments import Search, suggested_by
from pipelines.planning.planner import Planner
from pipelines.study.study_file import parse_study
from tests.conftest import small_study

EPOCHS = 9
ARMS = ["ce", "gce", "sce", "focal", "gce_plus_meta"]


def study(rule="halving", arms=("gce",), **request):
    small = small_study(list(arms), trials=8, repeats=request.pop("repeats", 2), seeds=1, **request)
    raw = small.model_dump(mode="json", by_alias=True)
    raw["protocol"]["schedule"]["epochs"] = EPOCHS
    raw["request"] |= {"stopping": rule}
    return parse_study(raw, "small.yaml")


def vals_of(spec):
    """What a trial scores, epoch by epoch: noise that its seeds draw, so that rungs mislead."""
    random = Random(spec["key"])
    level = random.random()
    return [round(level * (e + 1) / EPOCHS + random.gauss(0, 0.2), 1) for e in range(EPOCHS)]


class World:
    """Workers that run what a planner hands out; it remembers what trials have come to."""

    def __init__(self, fails=lambda spec: False):
        self.outcomes, self.suggested, self.courses = {}, {}, {}
        self.trained = {}  # epochs, by key
        self.fails = fails

    def planner(self, asked):
        return Planner(asked, "protocol", self.outcomes, self.suggested, self.courses)

    def run(self, asked, workers=3, jobs=10**6, seconds=lambda spec: 1.0, order=None):
        """Run so many jobs, on workers that take as long as they take; the planner after them.

        Also the share of time for which workers were busy.
        """
        plan, now, handed = self.planner(asked), 0.0, 0
        free, running, busy, random = workers, [], 0.0, order or Random(0)
        while True:
            while free and handed < jobs and (spec := plan.ask()) is not None:
                self.suggested |= suggested_by([spec], plan.arms)
                until = rung.epoch if (rung := plan.rung(spec["key"])) else EPOCHS
                new = until - self.trained.get(spec["key"], 0)
                assert new >= 0
                length = new * seconds(spec)
                busy, free, handed = busy + length, free - 1, handed + 1
                heapq.heappush(running, (now + length, random.random(), until, spec["key"]))
            if not running:
                return plan, busy / (workers * now) if now else 1.0
            now, _, until, key = heapq.heappop(running)
            free += 1
            self._end(plan, plan.running[key], until)

    def _end(self, plan, spec, until):
        key, vals = spec["key"], vals_of(spec)
        self.trained[key] = until
        course = Course(tuple(vals[:until]), tuple(map(float, range(1, until + 1))), EPOCHS)
        if self.fails(spec):
            self.outcomes[key] = None
            plan.tell(key, None, self.courses.get(key))
            return
        self.courses[key] = course
        if until < EPOCHS:
            plan.pause(key, course)
        else:
            self.outcomes[key] = vals[-1]
            plan.tell(key, vals[-1], course)


def state(plan):
    """What came of a study: where its trials stopped, and what it chose."""
    stops = {(a.arm, a.repeat, a.index): rung.epoch for a, rung in plan.stopped.items()}
    return stops, {search: plan.chosen(search) for search in plan.brackets}


def test_of_nine_trials_three_and_then_one_go_on():
    world = World()
    plan, _ = world.run(study(), workers=1)
    assert plan.finished and plan.done == plan.planned == {"gce": 2 * (9 + 1 + 1)}
    searched = [s for s in plan.assigned.values() if s["role"] == "search"]
    epochs = sorted(world.trained[s["key"]] for s in searched if s["repeat"] == 0)
    assert epochs == [1] * 6 + [3] * 2 + [9]
    assert not [a for a in plan.assigned if a.role == "curve"]


@pytest.mark.parametrize("rule", ["halving", "median"])
def test_a_real_search_agrees_with_a_simulated_one_trial_for_trial(rule):
    whole, world = World(), World()
    whole.run(study("none"), workers=2)
    plan, _ = world.run(study(rule), workers=2)
    known = Halving() if rule == "halving" else Median()
    for search in plan.brackets:
        specs = {
            a.index: s for a, s in plan.assigned.items() if (a.role, a.search) == ("search", search)
        }
        rungs = [int(share * EPOCHS) for share in known.shares(EPOCHS)]
        val = np.array([[vals_of(specs[i])[e - 1] for e in rungs] for i in sorted(specs)])
        passes = np.tile(np.array(rungs, dtype=float), (len(val), 1))
        scores, spent = outcome(known, val, passes, np.arange(len(val))[None])
        assert spent == [sum(world.trained[s["key"]] for s in specs.values())]
        assert plan.chosen(search) == specs[int(scores[0].argmax())]["config"]
        stops = [a.index for a in plan.stopped if a.search == search]
        assert stops == np.flatnonzero(np.isinf(scores[0])).tolist()


@pytest.mark.parametrize("rule", ["halving", "median"])
def test_what_is_stopped_depends_on_vals_alone_not_on_workers_or_times(rule):
    ends = []
    for workers in (1, 7):
        times, world = Random(workers), World()
        plan, _ = world.run(
            study(rule, ["gce", "sce"], repeats=1),
            workers,
            seconds=lambda spec, t=times: t.uniform(0.2, 3),
        )
        ends.append((state(plan), world.trained))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("rule", ["halving", "median"])
def test_a_launch_that_is_cut_off_after_any_job_ends_as_an_undisturbed_one(rule):
    undisturbed, cut = World(), World()
    asked = study(rule, repeats=1)
    expected, _ = undisturbed.run(asked)
    for _ in range(200):
        plan, _ = cut.run(asked, jobs=1)  # each job in a launch of its own
        if plan.finished:
            break
    assert (state(plan), cut.trained) == (state(expected), undisturbed.trained)
    assert cut.planner(asked).ask() is None


def test_a_search_that_grows_is_judged_as_if_it_had_been_so_from_the_beginning():
    grown, at_once = World(), World()
    grown.run(study())
    before = dict(grown.trained)
    more = study().model_copy(update={"request": study().request.model_copy(update={"trials": 26})})
    plan, _ = grown.run(more)
    expected, _ = at_once.run(more)
    assert state(plan) == state(expected)
    assert all(grown.trained[key] >= epochs for key, epochs in before.items())
    beyond = {key for key, epochs in grown.trained.items() if epochs > at_once.trained.get(key, 0)}
    assert beyond <= before.keys()  # trained by the smaller search, and stopped by the larger one
    assert grown.planner(more).ask() is None


def test_without_stopping_what_was_stopped_goes_on_to_its_end():
    world = World()
    world.run(study())
    plan, _ = world.run(study("none"))
    assert plan.finished and not plan.stopped
    searched = [s["key"] for s in plan.assigned.values() if s["role"] == "search"]
    assert {world.trained[key] for key in searched} == {EPOCHS}


def test_a_failed_trial_has_used_its_place_and_is_never_chosen():
    def fails(spec):
        return spec["role"] == "search" and spec["index"] == 3 and spec["arm"] == "gce"

    world = World(fails)
    plan, _ = world.run(study())
    assert plan.finished and plan.done == plan.planned
    assert all(a.index != 3 or epoch for a, epoch in plan.stopped.items())
    assert all(plan.chosen(search) for search in plan.brackets)


def test_where_all_trials_fail_there_is_no_final_one():
    plan, _ = World(lambda spec: spec["role"] == "search").run(study())
    assert plan.finished and plan.chosen(Search("", "gce", 0)) is None


@pytest.mark.parametrize("workers", [2, 8])
def test_the_gaps_of_a_search_are_filled_by_others_so_that_no_worker_waits(workers):
    seconds = {name: Random(name).uniform(0.5, 2.0) for name in ARMS}
    large = study(arms=ARMS).model_copy(
        update={"request": study(arms=ARMS).request.model_copy(update={"trials": 17, "repeats": 3})}
    )
    _, busy = World().run(large, workers, seconds=lambda spec: seconds[spec["arm"]])
    assert busy >= 0.95


def test_one_arm_may_be_stopped_otherwise_than_the_others():
    plan, _ = World().run(study(arms=["gce", "sce"], stopping_of={"sce": "none"}))
    assert {search.arm for search in plan.brackets} == {"gce"}
    assert {a.arm for a in plan.assigned if a.role == "curve"} == {"sce"}


@pytest.mark.parametrize(
    ("request_", "protocol", "message"),
    [
        ({"stopping": "asha"}, {}, "asha promotes trials in the order in which they come"),
        ({"stopping": "hyperband"}, {}, "'none', 'halving' or 'median'"),
        ({"stopping": {"rule": "median", "eta": 2}}, {}, "eta and rungs are of halving"),
        ({"stopping": "halving"}, {"search": "tpe"}, "a search by 'tpe' learns from trials"),
        ({"stopping": "halving"}, {"schedule": {"steps": 9}}, "rungs are epochs; give"),
        ({"stopping_of": {"sce": "halving"}}, {}, "'sce' is not among the arms"),
    ],
)
def test_what_cannot_be_stopped_is_told(request_, protocol, message):
    raw = small_study(["gce"]).model_dump(mode="json", by_alias=True)
    raw["request"] |= request_
    raw["protocol"] |= protocol
    with pytest.raises(UserError, match=message):
        parse_study(raw, "small.yaml")

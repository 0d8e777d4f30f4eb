"""What is best: by val, never by test, and of equals the first."""

from math import nan

from pipelines.analysis.record import Record
from pipelines.analysis.selection import (
    best_arm,
    best_run,
    final_runs,
    highest,
    mean_vals,
    selected,
    useful_arms,
    useful_runs,
)
from pipelines.collapse import Signs
from tests.support.synthetic import record


def search(index: int, val: float, repeat: int = 0) -> Record:
    return record("search", index, repeat, val=val, config={"q": index / 10})


def final(index: int, val: float, repeat: int = 0, **changes) -> Record:
    return record("final", index, repeat, val=val, **changes)


class TestHighest:
    def test_is_the_key_with_the_highest_val(self):
        assert highest({0: 0.1, 1: 0.3, 2: 0.2}) == 1

    def test_of_several_that_tie_it_is_the_lowest_whatever_the_order(self):
        assert highest({2: 0.3, 0: 0.1, 1: 0.3}) == 1

    def test_a_val_that_is_none_or_nan_is_none(self):
        assert highest({0: nan, 1: None, 2: -7.0}) == 2

    def test_without_a_val_there_is_none(self):
        assert highest({0: nan, 1: None}) is None and highest({}) is None


class TestConfigurations:
    def test_each_repeat_selects_its_own(self):
        records = [search(0, 0.5), search(1, 0.7), search(0, 0.6, repeat=1), search(1, 0.6, 1)]
        assert {repeat: r.index for repeat, r in selected(records).items()} == {0: 1, 1: 0}

    def test_a_search_that_failed_altogether_selects_its_default(self):
        assert selected([search(1, nan), search(0, nan)])[0].index == 0

    def test_final_runs_of_another_configuration_do_not_count(self):
        stale, now = final(0, 0.9, config={"q": 0.5}), final(0, 0.8, config={"q": 0.1})
        assert final_runs([search(0, 0.5), search(1, 0.7), stale, now]) == [now]


class TestRuns:
    def test_the_best_run_has_the_highest_val(self):
        assert best_run([final(0, 0.7), final(1, 0.8), record("curve", 2, val=0.9)]) == final(
            1, 0.8
        )

    def test_of_equals_the_lowest_repeat_then_the_lowest_seed(self):
        runs = [final(0, 0.8, repeat=1), final(2, 0.8), final(1, 0.8)]
        assert best_run(runs) == final(1, 0.8)

    def test_a_run_that_diverged_has_no_model_to_be_the_best(self):
        runs = [final(0, 0.0, status="diverged"), final(1, nan, status="failed"), final(2, 0.0)]
        assert best_run(runs) == final(2, 0.0) and best_run(runs[:2]) is None


class TestArms:
    def test_repeats_count_alike_however_many_runs_they_have(self):
        a = [final(0, 0.9), final(1, 0.9), final(0, 0.3, repeat=1)]
        b = [final(0, 0.7, arm="b"), final(0, 0.6, repeat=1, arm="b")]
        vals = mean_vals([*a, *b], ["arm", "b"])
        assert {name: round(val, 9) for name, val in vals.items()} == {"arm": 0.6, "b": 0.65}
        assert best_arm(vals) == "b"

    def test_of_equals_the_one_that_the_study_names_first(self):
        assert best_arm({"sce": 0.5, "ce": 0.8, "a": 0.8}) == "ce"

    def test_an_arm_without_a_val_is_none(self):
        assert best_arm(mean_vals([final(0, nan)], ["arm", "b"])) is None


GONE: Signs = {"chance": 3}


class TestCollapsedRuns:
    def test_are_passed_over_though_their_val_is_higher(self):
        assert best_run([final(0, 0.9, collapse=GONE), final(1, 0.8)]) == final(1, 0.8)

    def test_are_taken_where_there_is_no_other(self):
        runs = [final(0, 0.5, collapse=GONE), final(1, 0.6, collapse=GONE)]
        assert best_run(runs) == runs[1] and useful_runs(runs) == runs

    def test_a_hypergradient_that_vanished_is_no_reason(self):
        run = final(0, 0.9, collapse={"vanished": 3})
        assert best_run([run, final(1, 0.8)]) == run

    def test_an_arm_is_passed_over_if_all_of_its_runs_have(self):
        lost = [final(i, 0.9, arm="lost", collapse=GONE) for i in range(2)]
        half = [final(0, 0.8, arm="half", collapse=GONE), final(1, 0.8, arm="half")]
        assert useful_arms(lost + half, ["lost", "half"]) == ["half"]
        assert useful_arms(lost, ["lost"]) == ["lost"]

"""Pareto fronts are what no other one beats, and are told of what differs."""

from dataclasses import replace
from random import Random

import pytest

from pipelines.analysis.fronts import fronts, pareto, valued
from pipelines.analysis.selection import searches, selected
from tests.support.synthetic import record


def trial(index: int, val: float, passes: int = 100, recall: float | None = 0.5, repeat: int = 0):
    scores = {} if recall is None else {"worst_class_recall": recall}
    config = {"q": index / 10}
    of = {"passes": passes, "scores_on_val": scores, "config": config}
    return record("search", index, repeat, val=val, **of)


def told(records, metric="accuracy", aim=None) -> dict[str, list[tuple[int, int]]]:
    found = fronts(searches(records), selected(records), metric, aim)
    return {f["aim"]: [(t["repeat"], t["index"]) for t in f["trials"]] for f in found}


def test_the_front_is_what_nothing_beats_by_its_definition():
    random = Random(0)
    items = [(c, c + random.randrange(8)) for c in (random.randrange(20) for _ in range(40))]
    front = pareto(items, lambda item: item[0], lambda item: item[1])
    beaten = {(c, s) for c, s in items for d, t in items if (d, t) != (c, s) and d <= c and t >= s}
    assert front == sorted({*items} - beaten) and len(front) > 2


def test_of_trials_that_are_alike_in_both_aims_the_first_one_is_on_the_front():
    assert told([trial(0, 0.7, 10), trial(1, 0.7, 10), trial(2, 0.6, 20)])["passes"] == [(0, 0)]


def test_each_repeat_has_a_front_of_its_own_by_each_aim():
    records = [
        trial(0, 0.8, 300, 0.1), trial(1, 0.7, 100, 0.4), trial(2, 0.6, 200, 0.3),
        trial(0, 0.5, 100, 0.6, repeat=1), trial(1, 0.4, 300, 0.6, repeat=1),
    ]  # fmt: skip
    assert told(records) == {
        "passes": [(0, 1), (0, 0), (1, 0)],
        "worst_class_recall": [(0, 1), (0, 0), (1, 0)],
    }


def test_what_was_selected_is_marked_and_shown_with_its_values():
    [_, best] = valued({0: trial(0, 0.6), 1: trial(1, 0.9, 300, 0.2)}, 1, "worst_class_recall")
    assert best == {
        "repeat": 0, "index": 1, "config": {"q": 0.1}, "val": 0.9, "value": 0.2, "selected": True,
    }  # fmt: skip


def test_an_aim_in_which_nothing_differs_or_is_not_known_has_no_front():
    assert told([trial(0, 0.7), trial(1, 0.8)]) == {}
    assert told([trial(0, 0.7, recall=None), trial(1, 0.8, recall=None)]) == {}
    # of two repeats the data differ, which is no choice of anybody's
    assert told([trial(0, 0.7, 100), trial(0, 0.8, 110, repeat=1)]) == {}


def test_the_metric_is_no_second_aim_of_its_own_and_the_studys_comes_first():
    records = [trial(0, 0.7, 100, 0.3), trial(1, 0.8, 200, 0.2)]
    assert list(told(records, metric="worst_class_recall")) == ["passes"]
    assert list(told(records, aim="worst_class_recall")) == ["worst_class_recall", "passes"]


@pytest.mark.parametrize("status", ["diverged", "failed", "stopped"])
def test_only_trials_that_completed_stand_on_a_front(status):
    cheap = replace(trial(1, 0.9, 1), status=status)
    assert told([trial(0, 0.7, 100), cheap, trial(2, 0.6, 50)])["passes"] == [(0, 2), (0, 0)]

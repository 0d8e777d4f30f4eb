"""What results.json says when parts of a study are missing, failed or diverged."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pipelines.analysis.results import summarise
from pipelines.analysis.results_csv import to_csv
from tests.support.synthetic import ARMS
from tests.support.synthetic_results import INFO, RECORDS, failed, said, strict


@pytest.mark.parametrize(
    "roles",
    [(), ("search",), ("final",), ("search", "curve"), ("search", "final"), ("sensitivity",)],
)
def test_any_roles_will_do_and_gaps_are_named(roles):
    results = strict(summarise([r for r in RECORDS if r.role in roles], INFO))
    assert results["missing"] and said(results)
    assert to_csv(results).count("\n") == len(ARMS) + 1


def test_a_growing_study_summarises_at_every_step():
    order = np.random.default_rng(0).permutation(len(RECORDS))
    for size in range(0, len(RECORDS), 30):
        some = [RECORDS[i] for i in order[:size]]
        strict(summarise(some, INFO))
        strict(summarise([failed(r) if i % 3 else r for i, r in enumerate(some)], INFO))


def test_failed_final_runs_are_counted_and_named():
    some = [failed(r) if (r.role, r.index) == ("final", 0) else r for r in RECORDS]
    results = strict(summarise(some, INFO))
    arm = results["arms"]["l2rw"]
    assert (arm["test"]["last"]["n"], arm["test"]["last"]["failed"]) == (3, 3)
    assert arm["trials"]["failed"] == 3
    assert "l2rw: 3 of 6 final runs failed" in results["missing"]


def test_a_failed_search_trial_spent_its_budget_at_the_price_of_the_others():
    some = [failed(r) if (r.role, r.index) == ("search", 3) else r for r in RECORDS]
    results = strict(summarise(some, INFO))
    curve = results["arms"]["gce"]["budget"]["curve"]
    assert (len(curve), curve[-1]["repeats"]) == (21, 3)
    assert curve[-1]["passes"] == pytest.approx(21 * 3000)
    assert results["cost"]["total"] == pytest.approx(sum(r.seconds for r in some if r.passes))


def test_a_search_of_which_only_the_default_finished_selects_the_default():
    some = [failed(r) if r.role == "search" and r.index else r for r in RECORDS]
    gce = strict(summarise(some, INFO))["arms"]["gce"]
    means = [point["mean"] for point in gce["budget"]["curve"]]
    assert means == pytest.approx([means[0]] * 21)
    assert [chosen["index"] for chosen in gce["selected"]] == [0, 0, 0]


def test_a_study_in_which_everything_failed_has_no_answer():
    results = strict(summarise(map(failed, RECORDS), INFO))
    assert results["arms"]["l2rw"]["test"]["last"]["mean"] is None
    assert "no answer yet" in said(results)


def test_a_failed_curve_run_takes_its_repeat_out_and_is_named():
    best = summarise(RECORDS, INFO)["arms"]["gce"]["selected"][1]["index"]
    second = max(
        (
            r
            for r in RECORDS
            if (r.arm, r.role, r.repeat) == ("gce", "search", 1) and r.index != best
        ),
        key=lambda r: r.val,
    )
    lost = ("gce", "curve", 1, second.index)
    some = [failed(r) if (r.arm, r.role, r.repeat, r.index) == lost else r for r in RECORDS]
    results = summarise(some, INFO)
    assert results["arms"]["gce"]["budget"]["curve"][0]["repeats"] == 2
    assert "gce: budget curve lacks retrained runs in repeats [1]" in results["missing"]


def test_a_diverged_run_counts_with_its_score():
    some = [
        replace(
            r, status="diverged", val=-math.inf, test={"last": -math.inf, "selected": -math.inf}
        )
        if (r.arm, r.role, r.repeat, r.index) == ("l2rw", "final", 0, 0)
        else r
        for r in RECORDS
    ]
    results = strict(summarise(some, INFO))
    assert results["arms"]["l2rw"]["trials"]["diverged"] == 1
    assert results["arms"]["l2rw"]["test"]["last"]["mean"] is None


def test_final_runs_of_what_a_smaller_search_selected_are_left_out():
    better = replace(
        next(r for r in RECORDS if (r.arm, r.role, r.repeat) == ("gce", "search", 0)),
        key="gce-search-0-21",
        index=21,
        config={"q": 0.61},
        val=1.0,
    )
    results = summarise([*RECORDS, better], INFO)
    assert results["arms"]["gce"]["test"]["last"]["n"] == 4
    assert "gce: 2 final runs are of a configuration no longer selected" in results["missing"]

"""What early stopping would have made of an arm's searches, from records to results.json."""

from dataclasses import replace
from math import nan

import numpy as np
import pytest
from scipy import stats

from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.record import Course, Record
from pipelines.analysis.results import summarise
from pipelines.analysis.results_schema import EarlyStopping
from pipelines.analysis.stopped_searches import StoppedSearches, early_stopping, rank_agreement
from tests.support.synthetic import record
from tests.support.synthetic_results import (
    INFO,
    failed,
    pair_of,
    rising,
    said,
    with_courses,
)


def ran(index: int, vals: list[float], repeat: int = 0, **changes) -> list[Record]:
    """A search trial with that val per epoch, at 10 passes an epoch, and its curve run."""
    passes = tuple(10.0 * (i + 1) for i in range(len(vals)))
    how = Course(tuple(vals), passes, len(vals))
    fields = {"passes": int(passes[-1]), "course": how} | changes
    return [
        record("search", index, repeat, val=vals[-1], **fields),
        record("curve", index, repeat, val=vals[-1], passes=1),
    ]


def searches(*trials: list[Record]) -> StoppedSearches:
    return StoppedSearches(ArmRuns("arm", [r for both in trials for r in both], "last", "accuracy"))


def entry(*trials: list[Record]) -> EarlyStopping:
    return early_stopping(searches(*trials))


# ---- of one arm


def test_the_first_rule_is_that_of_the_curve_and_its_rungs_fit_the_epochs():
    for epochs, rule in ((60, "eta 3 from 1/9"), (8, "eta 3 from 1/3"), (2, "eta 3 from 1/1")):
        trials = [ran(k, rising(0.1 * (k + 1), epochs)) for k in range(4)]
        first, *_ = entry(*trials)["rules"]
        assert first["rule"] == f"halving, {rule}"


def test_a_search_by_hand_in_results_json():
    # At epoch 1 of 9 the four rank 0.4, 0.3, 0.2, 0.1; the best two go on, at epoch 3 the best one.
    trials = [ran(k, rising(0.1 * (k + 1))) for k in (3, 0, 1, 2)]
    first, *_ = entry(*trials)["rules"]
    assert first["same"] == 1 and first["difference"]["mean"] == 0
    spent = 4 * 10 + 2 * 20 + 1 * 60
    assert first["passes_saved"]["mean"] == pytest.approx(1 - spent / 360)
    point = entry(*trials)["curve"][3]
    assert (point["budget"], point["passes"], point["mean"]) == (3, spent, pytest.approx(0.4))


def test_a_rung_is_a_share_of_a_trials_own_epochs():
    # Trials of 9 and of 18 epochs (an arm whose phases' lengths are tuned): rungs at 1 and 2.
    trials = [ran(0, rising(0.2)), ran(1, rising(0.3, 18)), ran(2, rising(0.1))]
    first, *_ = entry(*trials)["rules"]
    spent = 10 + 20 + 10 + (180 - 20)  # two stop at their first rung
    assert first["passes_saved"]["mean"] == pytest.approx(1 - spent / (90 + 180 + 90))


def test_a_diverged_trial_has_the_worst_val_from_there_on_and_costs_nothing_more():
    gone = Course((0.9, 0.9), (10.0, 20.0, 30.0), 9)  # in its third epoch
    diverged = ran(1, [0.0], status="diverged", passes=30, course=gone)
    trials = [ran(0, rising(0.3)), diverged, ran(2, rising(0.2)), ran(3, rising(0.1))]
    first, *_ = entry(*trials)["rules"]
    # It leads at the first rung, and is behind the default at the second one.
    assert first["score"]["mean"] == pytest.approx(0.3)
    spent = 4 * 10 + 2 * 20 + 60
    assert first["passes_saved"]["mean"] == pytest.approx(1 - spent / (3 * 90 + 30))


def test_of_the_default_alone_nothing_is_stopped():
    alone = searches(ran(0, rising(0.4)))
    assert alone.lost == []
    assert early_stopping(alone) == {"curve": [], "rules": [], "ranks": []}


def test_without_a_history_of_one_trial_its_repeat_is_left_out():
    lost = [replace(r, course=None) for r in ran(1, rising(0.5), repeat=1)]
    known = [ran(k, rising(0.1 * k), repeat=0) for k in range(3)]
    some = searches(*known, ran(0, rising(0.4), repeat=1), lost)
    assert list(some.trials) == [0] and some.lost == [1]
    none = searches(ran(0, rising(0.4), course=None), ran(1, rising(0.5), course=None))
    assert none.lost == [] and early_stopping(none) == {"curve": [], "rules": [], "ranks": []}


def test_a_search_all_of_whose_trials_failed_has_none():
    trials = [[failed(search), curve] for search, curve in (ran(k, [0.5]) for k in range(3))]
    assert early_stopping(searches(*trials))["rules"] == []


# ---- ranks


def test_ranks_agree_as_spearmans_correlation_over_the_trials_of_a_search():
    rng = np.random.default_rng(1)
    vals = rng.integers(0, 6, (12, 18)) / 10
    ranks = entry(*(ran(k, list(row)) for k, row in enumerate(vals)))["ranks"]
    assert [point["share"] for point in ranks] == [pytest.approx(e / 18) for e in range(1, 19)]
    for epoch, point in enumerate(ranks):
        expected = stats.spearmanr(vals[:, epoch], vals[:, -1]).statistic
        assert point["mean"] == pytest.approx(expected)


def test_where_all_score_alike_nothing_is_ranked():
    blind = [ran(k, [0.1, 0.1 * (k + 1), 0.1 * (k + 1)]) for k in range(4)]
    assert [p["mean"] for p in entry(*blind)["ranks"]] == [0, pytest.approx(1), pytest.approx(1)]
    alike = [ran(k, [0.1 * k, 0.5]) for k in range(4)]
    assert [p["mean"] for p in entry(*alike)["ranks"]] == [None, None]


def test_failed_trials_have_no_rank():
    trials = {0: [search for search, _ in (ran(k, rising(0.1 * k)) for k in range(4))]}
    trials[0][2] = replace(trials[0][2], status="failed", val=nan, course=None)
    assert [p["mean"] for p in rank_agreement(trials)] == [pytest.approx(1)] * 9
    trials[0][1] = replace(trials[0][1], status="failed", val=nan, course=None)
    assert rank_agreement(trials) == []  # two are left


# ---- in results.json


def test_where_val_ranks_early_as_in_the_end_halving_loses_nothing_and_saves_two_thirds():
    results = summarise(with_courses(), INFO)
    arm = results["arms"]["gce_plus_meta"]
    assert "early_stopping" in arm and "budget" in arm
    first, *_ = arm["early_stopping"]["rules"]
    assert first["same"] == 1 and first["budget"] == 20
    assert first["passes_saved"]["mean"] == pytest.approx(1 - (21 + 7 * 2 + 3 * 6) / (21 * 9))
    for whole, stopped in zip(arm["budget"]["curve"], arm["early_stopping"]["curve"], strict=True):
        assert stopped["mean"] == pytest.approx(whole["mean"])
        assert stopped["passes"] <= whole["passes"]
    pair = pair_of(results, "l2rw", "gce_plus_meta")
    whole, stopped = pair["break_even"], pair["break_even_stopped"]
    assert whole and stopped and whole["budget"] == stopped["budget"]
    assert whole["passes"] and stopped["passes"] and stopped["passes"] < whole["passes"]
    assert "(halving, eta 3 from 1/9 of the epochs; simulated), the search of" in said(results)
    assert "costs 28 % of its passes and selects the same in 3 repeats; then" in said(results)


def test_without_histories_nothing_is_said_of_early_stopping(results):
    assert results["arms"]["gce"]["early_stopping"] == {"curve": [], "rules": [], "ranks": []}
    assert pair_of(results, "l2rw", "gce")["break_even_stopped"] is None
    assert "Stopped early" not in said(results)


def test_histories_that_are_gone_are_missing():
    records = with_courses()
    search = next(i for i, r in enumerate(records) if (r.arm, r.role) == ("gce", "search"))
    records[search] = replace(records[search], course=None)
    missing = summarise(records, INFO)["missing"]
    assert missing == ["gce: early stopping lacks histories in repeats [0]"]


def test_another_kind_of_search_has_none():
    results = summarise(with_courses(), {**INFO, "search": "tpe"})
    assert "early_stopping" not in results["arms"]["gce"]

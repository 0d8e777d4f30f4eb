"""What results.json says of two arms: difference, break-even budget, chance to win."""

import numpy as np
import pytest

from tests.support.synthetic_results import RECORDS, pair_of


def test_a_difference_is_untuned_minus_tuned_paired_by_seeds(results):
    pair = pair_of(results, "l2rw", "gce_plus_meta")
    finals = {(r.arm, r.repeat, r.index): r.test["last"] for r in RECORDS if r.role == "final"}
    expected = [
        np.mean([finals["l2rw", r, s] - finals["gce_plus_meta", r, s] for s in range(2)])
        for r in range(3)
    ]
    assert pair["by_repeat"] == pytest.approx(expected)
    assert pair["difference"]["mean"] == pytest.approx(np.mean(expected))


def test_a_break_even_budget_comes_in_trials_passes_and_seconds(results):
    b_star = pair_of(results, "l2rw", "gce_plus_meta")["break_even"]
    assert b_star["budget"] > 1 and b_star["trials"] == pytest.approx(b_star["budget"] + 1)
    assert b_star["passes"] == pytest.approx(b_star["trials"] * 3600)
    assert b_star["passes_saved"] == pytest.approx(b_star["passes"] + 3600 - 9000)
    seconds = {(c["tuned"], c["untuned"]): c["seconds"] for c in results["cost"]["break_even"]}
    assert seconds["gce_plus_meta", "l2rw"] == pytest.approx(b_star["passes"] / 1000)


def test_a_break_even_budget_may_lie_beyond_the_search_or_at_the_default(results):
    beyond = pair_of(results, "finetune", "gce")["break_even"]
    assert (beyond["label"], beyond["passes"], beyond["passes_saved"]) == ("> 20", None, None)
    zero = pair_of(results, "ce", "gce_plus_meta")["break_even"]
    assert zero["label"] == "0: the default already does it"
    assert (zero["trials"], zero["passes"]) == (0, 0)


def test_the_halved_space_holds_fewer_trials_and_suits_this_optimum_better(results):
    pair = pair_of(results, "l2rw", "gce_plus_meta")
    whole, halved = pair["break_even"], pair["break_even_halved_space"]
    assert halved["largest"] < whole["largest"]
    assert halved["budget"] < whole["budget"]


def test_the_win_probability_falls_as_the_rival_tunes(results):
    wins = pair_of(results, "l2rw", "gce_plus_meta")["win_probability"]
    assert wins[0]["probability"] > 0.9 > wins[-1]["probability"]
    assert wins[3]["probability"] == pytest.approx(np.mean(wins[3]["by_repeat"]))


def test_holm_adjusts_over_the_tuned_arms_that_an_untuned_one_is_compared_with(results):
    raw = [p for p in results["pairs"] if p["untuned"] == "l2rw"]
    adjusted = [h for h in results["holm"] if h["untuned"] == "l2rw"]
    smaller, larger = sorted(zip(raw, adjusted, strict=True), key=lambda p: p[0]["p_superior"])
    assert smaller[1]["p_superior"] == pytest.approx(2 * smaller[0]["p_superior"])
    assert larger[1]["p_superior"] == pytest.approx(larger[0]["p_superior"])

"""The tables that compare arms show the numbers of results.json, and say where there are none."""

from typing import Any

import pytest

from pipelines.analysis.results import summarise
from pipelines.documents import Json
from pipelines.report.comparisons import comparisons, controls, pairs, transfer
from pipelines.report.study_state import load_study_state
from pipelines.report.tables import rows as table_rows
from tests.support.synthetic import ARMS, SyntheticArm, synthetic_study

ESTIMATE = {"mean": 0.02, "low": -0.005, "high": 0.045, "n": 6, "repeats": 3}
BREAK_EVEN = {
    "budget": 3,
    "low": 1,
    "high": None,
    "interval": True,
    "largest": 5,
    "passes": 12000,
    "passes_low": 6000,
    "passes_high": None,
    "repeats": 3,
}


def results_of_a_pair(**changes: Any) -> Json:
    """6 budgets, b* = 3 of at most 5."""
    pair = {
        "tuned": "gce",
        "untuned": "l2rw",
        "same_clean_labels": False,
        "difference": ESTIMATE,
        "verdict": "inconclusive",
        "more": 1,
        "unit": "repeats",
        "break_even": BREAK_EVEN,
        "break_even_halved_space": None,
        "break_even_stopped": BREAK_EVEN | {"passes": 4000, "passes_low": 2000},
        "win_probability": [
            {"budget": b, "probability": 1 - b / 10, "by_repeat": [0.9 - b / 10, 1 - b / 10]}
            for b in range(6)
        ],
    } | changes
    return {
        "metric": "accuracy",
        "margin": 0.01,
        "pairs": [pair],
        "holm": [{"untuned": "l2rw", "tuned": "gce", "p_superior": 0.04, "p_noninferior": 0.02}],
        "controls": [],
    }


def shown(results: Json) -> dict[str, str]:
    (row,) = pairs(results).rows
    return {name: cell.text for name, cell in row.items()}


def test_the_row_of_a_pair_shows_its_numbers():
    assert shown(results_of_a_pair()) == {
        "untuned": "l2rw",
        "tuned": "gce",
        "labels": "different",
        "difference": "+2.0 [-0.5, +4.5]",
        "verdict": "inconclusive",
        "more": "1 repeat",
        "holm": "non-inferior (p = 0.020)",
        "break_even": "3 [1, > 5]",
        "passes": "12,000 [6,000, beyond]",
        "stopped": "3 [1, > 5]",
        "stopped_passes": "4,000 [2,000, beyond]",
        "halved": "–",
        "half": "0.80 (0.70–0.80)",  # half of 5 trials are 2
        "full": "0.50 (0.40–0.50)",
    }


@pytest.mark.parametrize(
    ("superior", "noninferior", "text"),
    [
        (0.0004, 0.0001, "superior (p < 0.001)"),
        (0.024, 0.003, "superior (p = 0.024)"),
        (0.026, 0.003, "non-inferior (p = 0.003)"),
        (0.5, 0.026, "none (p = 0.026)"),
    ],
)
def test_an_adjusted_claim_holds_below_2_5_percent(superior, noninferior, text):
    results = results_of_a_pair()
    results["holm"][0] |= {"p_superior": superior, "p_noninferior": noninferior}
    assert shown(results)["holm"] == text


def test_claims_sort_from_superior_to_none():
    orders = []
    for superior, noninferior in ((0.001, 0.001), (0.02, 0.001), (0.9, 0.01), (0.9, 0.8)):
        results = results_of_a_pair()
        results["holm"][0] |= {"p_superior": superior, "p_noninferior": noninferior}
        orders.append(pairs(results).rows[0]["holm"].order)
    assert orders == sorted(orders)


def test_a_budget_beyond_the_search_sorts_last_and_has_no_passes():
    results = results_of_a_pair(
        break_even=BREAK_EVEN | {"budget": None, "low": None, "passes": None}
    )
    (row,) = pairs(results).rows
    assert (row["break_even"].text, row["break_even"].order) == ("> 5 [> 5, > 5]", 6)
    assert row["passes"].text == "beyond [6,000, beyond]" and row["passes"].order is None


def test_one_search_gives_no_interval():
    single = BREAK_EVEN | {"interval": False, "low": None, "repeats": 1}
    wins = [{"budget": 0, "probability": 0.75, "by_repeat": [0.75]}]
    no_interval = ESTIMATE | {"low": None, "high": None}
    row = shown(results_of_a_pair(break_even=single, win_probability=wins, difference=no_interval))
    assert row["break_even"] == "3 (no interval: 1 search)"
    assert row["passes"] == "12,000"
    assert row["full"] == "0.75"
    assert row["difference"] == "+2.0 (no interval)"


def test_what_has_not_finished_is_a_dash():
    missing = {"mean": None, "low": None, "high": None, "n": 0, "repeats": 0}
    results = results_of_a_pair(difference=missing, break_even=None, win_probability=[], more=None)
    results["holm"] = []
    row = shown(results)
    names = ("difference", "verdict", "more", "holm", "break_even", "passes", "halved", "full")
    assert {row[name] for name in names} == {"–"}


def test_log_likelihoods_are_in_nats():
    table = pairs(results_of_a_pair() | {"metric": "nll", "margin": 0.05})
    heading = next(c.heading for c in table.columns if c.name == "difference")
    assert heading == "difference, nats" and "margin of 0.050" in table.about
    assert table.rows[0]["difference"].text == "+0.020 [-0.005, +0.045]"


def test_every_table_of_a_study_with_axes_has_its_rows(everything):
    results = load_study_state(everything)[1].results()
    tables = {table.name: table for table in comparisons(results)}
    for table in tables.values():
        assert table.about and all(row.keys() == {c.name for c in table.columns}
                                   for row in table.rows)  # fmt: skip
    for name, expected in (
        ("pairs", results["pairs"]),
        ("controls", results["controls"]),
        ("aggregate", results["scenarios"]["aggregate"]),
        ("transfer", results["scenarios"]["transfer"][0]["regret"]),
    ):
        key = "regret" if name == "transfer" else "difference"
        means = [e["mean"] if name == "transfer" else e["difference"]["mean"] for e in expected]
        rows = [*tables[name].rows, *tables[name].folded]
        assert means and sorted(row[key].order for row in rows) == sorted(means)
    row = tables["aggregate"].rows[0]
    assert row["n"].text == "9 / 3"  # three scenarios of three repeats
    first = tables["transfer"].rows[0]
    assert (first["from"].text, first["to"].text) == ("the study's own", "noise.rate=0.2")


def test_a_table_without_rows_says_why():
    empty = results_of_a_pair() | {"pairs": []}
    for table in (pairs(empty), controls(empty), transfer(None)):
        assert not table.rows and table.about.startswith("Left out: ")
    assert [t.name for t in comparisons(empty) if t.about == "Left out: the study has no axes."] \
        == ["aggregate", "transfer"]  # fmt: skip


def test_pairs_with_unequal_clean_labels_are_folded():
    results = results_of_a_pair()
    fair = results["pairs"][0] | {"same_clean_labels": True, "tuned": "gce_plus_meta"}
    table = pairs(results | {"pairs": [*results["pairs"], fair]})
    assert [row["tuned"].text for row in table.rows] == ["gce_plus_meta"]
    assert [row["tuned"].text for row in table.folded] == ["gce"]
    alone = pairs(results)  # all that there is, is not folded
    assert [row["tuned"].text for row in alone.rows] == ["gce"] and not alone.folded


def test_what_an_oracle_reads_is_named_where_clean_labels_are_counted():
    oracle = SyntheticArm("forward_oracle", "oracle", 0.99, clean_train=0)
    rows = table_rows(summarise(*synthetic_study((*ARMS, oracle), trials=2)))
    labels = {row["arm"].text: row["labels"].text for row in rows}
    assert (labels["forward_oracle"], labels["ce"]) == ("truth / 0", "0 / 0")

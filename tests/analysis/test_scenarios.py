"""One study over several scenarios: a verdict over all, and what a selection is worth elsewhere."""

import numpy as np
import pytest

from pipelines.analysis.scenarios import summarise_scenarios
from tests.support.synthetic import synthetic_study
from tests.support.synthetic_results import INFO, RECORDS, pair_of, strict


@pytest.fixture(scope="module")
def summary():
    records = {f"flip {s}": synthetic_study(seed=s)[0] for s in range(3)}
    return strict(summarise_scenarios(records, INFO))


def test_scenarios_give_one_verdict_per_pair_over_all_of_them(summary):
    (whole,) = [
        row for row in summary["aggregate"] if (row["untuned"], row["tuned"]) == ("l2rw", "gce")
    ]
    means = [
        pair_of(results, "l2rw", "gce")["difference"]["mean"]
        for results in summary["scenarios"].values()
    ]
    assert whole["difference"]["mean"] == pytest.approx(np.mean(means))
    assert whole["verdict"] == "superior"


def test_transfer_between_scenarios_needs_the_same_configurations(summary):
    assert summary["transfer"][0] == {"arm": "gce", "regret": []}


def test_transfer_between_equal_scenarios_costs_nothing():
    summary = summarise_scenarios({"a": RECORDS, "b": RECORDS}, INFO)
    row = summary["transfer"][0]["regret"][0]
    assert (row["from"], row["to"], row["mean"], row["repeats"]) == ("a", "b", 0, 3)

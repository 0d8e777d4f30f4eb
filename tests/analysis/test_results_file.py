"""results.json and results.csv as files: what they hold, and that it is documented."""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

from pipelines.analysis.results import summarise
from pipelines.analysis.results_csv import to_csv
from pipelines.analysis.results_schema import Results, ScenarioResults
from pipelines.analysis.scenarios import summarise_scenarios
from tests.support.synthetic_results import INFO, RECORDS, failed, info_with, with_courses


def assert_fits(value: Any, expected: Any, path: str) -> None:
    """The value is of the expected type: a TypedDict, a list, a dict, a union or a plain one."""
    if expected is Any:
        return
    origin, arguments = get_origin(expected), get_args(expected)
    if origin is Literal:
        assert value in arguments, path
    elif origin is UnionType:
        kinds = [a for a in arguments if (value is None) == (a is NoneType)]
        assert kinds, path
        assert_fits(value, kinds[0], path)
    elif is_typeddict(expected):
        fields = get_type_hints(expected)
        assert expected.__required_keys__ <= value.keys() <= fields.keys(), path
        for name, part in value.items():
            assert_fits(part, fields[name], f"{path}.{name}")
    elif origin is list:
        for part in value:
            assert_fits(part, arguments[0], f"{path}[]")
    elif origin in (dict, Mapping):
        for part in value.values():
            assert_fits(part, arguments[1], f"{path}.*")
    else:
        assert isinstance(value, int | float if expected is float else expected), path


def test_results_json_is_what_its_types_say(results):
    assert_fits(results, Results, "results")
    assert_fits(summarise([], INFO), Results, "results of nothing")
    assert_fits(summarise(map(failed, RECORDS), INFO), Results, "results of failures")
    assert_fits(summarise(RECORDS, info_with(search="tpe")), Results, "results of tpe")
    scenarios = summarise_scenarios({"": RECORDS, "noise.rate=0.2": RECORDS}, INFO)
    assert_fits(scenarios, ScenarioResults, "scenarios")
    assert_fits(summarise(with_courses(), INFO), Results, "results with early stopping")


def test_two_runs_of_a_study_differ_only_in_cost_and_provenance(results):
    again = [replace(r, seconds=r.seconds * 1.1) for r in reversed(RECORDS)]
    other = summarise(again, INFO, {"version": "2"})
    assert {k for k in results if results[k] != other[k]} == {"cost", "provenance"}


def test_every_field_of_results_json_is_documented(results):
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text()
    documented = set(re.findall(r"`([\w.]+)`", text))
    documented |= {part for name in documented for part in name.split(".")}
    arm, pair = results["arms"]["gce"], results["pairs"][0]
    for level in (
        results,
        arm,
        pair,
        pair["break_even"],
        arm["test"]["last"],
        arm["passes"],
        arm["trials"],
        arm["budget"],
        arm["early_stopping"],
        arm["sensitivity"][0],
        results["cost"],
    ):
        assert set(level) <= documented


def test_results_csv_has_a_row_per_arm_with_n_interval_rule_labels_and_cost(results):
    rows = list(csv.DictReader(io.StringIO(to_csv(results))))
    assert [row["arm"] for row in rows] == list(results["arms"])
    row = next(row for row in rows if row["arm"] == "l2rw")
    assert float(row["test_last_low"]) < float(row["test_last_mean"])
    assert row["test_last_n"] == "6" and row["clean_labels_train"] == "100"
    assert row["passes_run"] == "9000.0" and row["selection"]

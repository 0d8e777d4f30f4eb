"""Cells of a table as numbers, by the rule of their column."""

import datetime
import math

import numpy as np
import pandas as pd
import pytest

from pipelines.data.columns import Column, as_days, column_of, parse, texts
from pipelines.errors import UserError
from pipelines.study.column_rules import rule_of

NAN = math.nan


def numbers(rule, cells) -> list[float]:
    frame = pd.DataFrame({"a": cells})
    column = column_of("a", rule_of(rule), frame["a"])
    return parse([column], frame, "t.csv")[:, 0].tolist()


@pytest.mark.parametrize(
    ("rule", "cells", "expected"),
    [
        ("number", [1, 2.5, -3], [1, 2.5, -3]),
        ("number", ["1", " 2.5 ", "-3e2"], [1, 2.5, -300]),
        ("number", [True, False], [1, 0]),
        ("impute", [1.0, None], [1, NAN]),
        ("impute", ["1", "?", "N/A", " "], [1, NAN, NAN, NAN]),
        ("boolean", ["yes", "No", None], [1, 0, NAN]),
        ("boolean", [True, None, False], [1, NAN, 0]),
        ("boolean", [1.0, NAN, 0.0], [1, NAN, 0]),
        ("date", ["1970-01-03", "1970-01-02T12:00", None], [2, 1.5, NAN]),
        ("date", pd.to_datetime(["1970-01-03", None]), [2, NAN]),
        ("date", [datetime.date(1970, 1, 3), None], [2, NAN]),
        ("date", ["1970-01-02T01:00+01:00"], [1]),
        ({"date": "%d.%m.%Y"}, ["03.01.1970", ""], [2, NAN]),
        ("one_hot", ["b", "a", None, "b "], [1, 0, NAN, 1]),
        ({"ordinal": ["low", "mid", "high"]}, ["high", "low", None], [2, 0, NAN]),
    ],
)
def test_a_rule_gives_a_number_for_each_cell(rule, cells, expected):
    np.testing.assert_equal(numbers(rule, cells), expected)


@pytest.mark.parametrize(
    ("rule", "cells", "message"),
    [
        (
            "number",
            ["1", "x"],
            r"t.csv: row 1, column 'a' is 'x': by its rule \(number\) .* a number",
        ),
        ("number", [1.0, None], "column 'a' has 1 empty cells, the first in row 1; .* impute"),
        ("number", [1e39], "row 0, column 'a' is"),
        ("boolean", ["yes", "maybe"], "row 1, .*'maybe'.* must be yes or no"),
        ("date", ["1970-01-03", "soon"], "row 1, .* must be a date like 2026-11-27"),
        ("date", [5, 6], "row 0, .* must be a date"),
        ({"date": "%d.%m.%Y"}, ["31.02.1970"], r"row 0, .* must be a date like %d.%m.%Y"),
        ({"ordinal": ["low", "high"]}, ["mid"], "row 0, .* must be one of low, high"),
    ],
)
def test_a_cell_that_its_rule_does_not_allow_is_named(rule, cells, message):
    with pytest.raises(UserError, match=message) as refusal:
        numbers(rule, cells)
    assert "\n" not in str(refusal.value)


def test_one_category_written_as_text_and_as_a_number_is_one():
    assert texts(pd.Series([1, 2])) == texts(pd.Series([1.0, 2.0])) == texts(pd.Series(["1", "2"]))


def test_a_category_that_the_table_did_not_have_is_unknown():
    column = Column("a", "one_hot", ("x", "y"))
    assert parse([column], pd.DataFrame({"a": ["z", "y"]}), "frame")[:, 0].tolist() == [-1, 1]


def test_a_column_that_is_not_there_or_twice_is_named():
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"])
    with pytest.raises(UserError, match="no column 'c'; it has a, a, b; the model takes c"):
        parse([Column("c")], frame, "frame")
    with pytest.raises(UserError, match="two columns 'a'"):
        parse([Column("a")], frame, "frame")


def test_a_day_in_float32_is_told_from_the_next_minute():
    days = as_days(pd.Series(["2026-11-27 10:00", "2026-11-27 10:03"])).astype(np.float32)
    assert days[0] < days[1]


@pytest.mark.parametrize(
    "rule",
    ["ordinal", "numbers", {"ordinal": ["a"]}, {"ordinal": ["a", "a"]}, {"date": "x"}, {}, 3, None],
)
def test_what_is_no_rule_is_refused_with_those_that_there_are(rule):
    with pytest.raises(ValueError, match=r"must be number, impute, .*ordinal.*date"):
        rule_of(rule)

"""What `new` proposes for a column that nobody has described."""

import numpy as np
import pandas as pd
import pytest

from pipelines.data.proposal import propose

LETTERS = [f"{a}{b}" for a in "abcdefgh" for b in "abcdefgh"]


@pytest.mark.parametrize(
    ("name", "cells", "rule", "why"),
    [
        ("age", [31.5, 40, 22], "number", "22 to 40"),
        (
            "age",
            [31.5, None, 22],
            "impute",
            "1 of 3 empty: median of the training split, and a flag",
        ),
        ("age", ["31", "?", "22"], "impute", "1 of 3 empty"),
        ("rooms", [1, 2, 3, 3], "number", "3 values: one_hot if they are codes"),
        ("smoker", ["yes", "No", "yes"], "boolean", "No, yes"),
        ("smoker", [True, False, None], "boolean", "1 of 3 empty"),
        ("joined", ["2026-01-31", "2025-02-01", None], "date", "days since 1970; 1 of 3 empty"),
        ("joined", pd.to_datetime(["2026-01-31", "2025-02-01"]), "date", "days since 1970"),
        ("joined", ["31.01.2026", "01.02.2025"], {"date": "%d.%m.%Y"}, "days since 1970"),
        ("joined", ["1/31/2026", "2/1/2025"], {"date": "%m/%d/%Y"}, "days since 1970"),
        ("joined", ["1/3/2026", "2/1/2025"], {"date": "%m/%d/%Y"}, "the day first? both fit"),
        ("colour", ["red", "blue", "red", None], "one_hot", "2 values: blue, red; 1 empty"),
        (
            "risk",
            ["High", "low", "Medium"],
            {"ordinal": ["low", "Medium", "High"]},
            "in this order",
        ),
        ("country", ["AT", "AT"], "drop", "constant: always AT"),
        ("nothing", [None, None], "drop", "empty"),
        ("customer_id", [17, 4, 99], "drop", "identifier"),
        ("customerId", ["x9", "c3", "a7"], "drop", "identifier"),
        ("salary", [17000, 4000, 99000], "number", "4000 to 99000"),
        ("row", [4, 5, 6, 7], "drop", "numbers the rows"),
        ("note", LETTERS, "drop", "identifier or free text: 64 values"),
        ("note", [*LETTERS, "aa", "ab"], "drop", "free text: 64 values, such as aa"),
        ("city", LETTERS * 3, "one_hot", "64 values: aa, ab, ac, ad, ..."),
        ("tags", [["a"], ["b", "c"]], "drop", "list: not to be made a feature"),
    ],
)
def test_a_proposal_follows_from_the_values_of_a_column(name, cells, rule, why):
    proposal = propose(name, pd.Series(cells))
    assert proposal.rule == rule and why in proposal.why
    assert "\n" not in proposal.why


def test_a_reason_is_one_line_whatever_is_in_the_cells():
    cells = pd.Series(["a\nb" * 30, "# c: d", "e"] * 20)
    assert "\n" not in propose("note", cells).why and len(propose("note", cells).why) < 120


def test_a_constant_with_gaps_may_tell_something():
    assert propose("phone", pd.Series(["given", None, "given"])).rule == "one_hot"
    assert propose("x", pd.Series([1.0, np.nan, 1.0])).rule == "impute"

"""What may be done with a column of a table, as a study says it."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Kind = Literal["number", "impute", "boolean", "date", "one_hot", "ordinal", "drop"]

RULES: dict[Kind, str] = {
    "number": "as it is; an empty cell is an error",
    "impute": "a number; an empty cell gets the median of the training split, and a flag",
    "boolean": "yes or no, true or false, 1 or 0; empty cells as of impute",
    "date": "days since 1970; {date: '%d.%m.%Y'} where it is not written as 2026-11-27",
    "one_hot": "a feature for each of its values, empty cells among them",
    "ordinal": "{ordinal: [low, high]}: the place in that list; empty cells as of impute",
    "drop": "left out",
}


class Rule(NamedTuple):
    """A rule's kind; of `ordinal` the values in their order, of `date` the format, if any."""

    kind: Kind
    values: tuple[str, ...] = ()
    format: str | None = None


def rule_of(value: Any) -> Rule:
    """A rule as a study file has it: a word, {ordinal: [low, high]} or {date: '%d.%m.%Y'}.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, str) and value in RULES and value != "ordinal":
        return Rule(value)
    match value:
        case {"date": str(written)} if len(value) == 1 and "%" in written:
            return Rule("date", format=written)
        case {"ordinal": [_, _, *_] as values} if len(value) == 1:
            names = tuple(map(str, values))
            if len(set(names)) == len(names):
                return Rule("ordinal", values=names)
    words = ", ".join(kind for kind in RULES if kind != "ordinal")
    raise ValueError(
        f"must be {words}, {{ordinal: [low, high]}} with all its values in their order, or "
        "{date: '%d.%m.%Y'}"
    )


def check_rules(rules: dict[str, Any] | None) -> dict[str, Any] | None:
    """The rules of a table's columns, by name.

    Raises:
        ValueError: one is none.
    """
    for name, value in (rules or {}).items():
        try:
            rule_of(value)
        except ValueError as error:
            raise ValueError(f"column {name!r}: {value!r} {error}") from None
    return rules

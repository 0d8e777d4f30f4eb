"""What may be done with a column of a table, as a study says it."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pipelines.study.encoders import WORDS, Encoder, check_encoder

Kind = Literal["number", "impute", "boolean", "date", "one_hot", "ordinal", "text", "drop"]

RULES: dict[Kind, str] = {
    "number": "as it is; an empty cell is an error",
    "impute": "a number; an empty cell gets the median of the training split, and a flag",
    "boolean": "yes or no, true or false, 1 or 0; empty cells as of impute",
    "date": "days since 1970; {date: '%d.%m.%Y'} where it is not written as 2026-11-27",
    "one_hot": "a feature for each of its values, empty cells among them",
    "ordinal": "{ordinal: [low, high]}: the place in that list; empty cells as of impute",
    "text": "words, or another encoder of texts: its features; an empty cell is an empty text",
    "drop": "left out",
}
OF_A_WORD: list[Kind] = [kind for kind in RULES if kind not in ("ordinal", "text")]
OF_TEXTS = "sentence_transformers"  # the one library whose features are for any model


class Rule(NamedTuple):
    """A rule's kind; of `ordinal` the values in their order, of `date` the format, if any.

    encoder: of `text`, what makes features.
    """

    kind: Kind
    values: tuple[str, ...] = ()
    format: str | None = None
    encoder: Encoder | None = None


def rule_of(value: Any) -> Rule:
    """A rule as a study file has it: a word, a list of values, a format of dates, or an encoder.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, str) and value in RULES and value not in ("ordinal", "text"):
        return Rule(value)
    match value:
        case {"date": str(written)} if len(value) == 1 and "%" in written:
            return Rule("date", format=written)
        case {"ordinal": [_, _, *_] as values} if len(value) == 1:
            names = tuple(map(str, values))
            if len(set(names)) == len(names):
                return Rule("ordinal", values=names)
        case str() | {"sentence_transformers": str()} if _is_encoder(value):
            return Rule("text", encoder=value)
    raise ValueError(
        f"must be {', '.join(OF_A_WORD)}, {{ordinal: [low, high]}} with all its values in their "
        f"order, {{date: '%d.%m.%Y'}}, or of texts {WORDS}, {{{OF_TEXTS}: NAME}}, module:function"
    )


def _is_encoder(value: Encoder) -> bool:
    try:
        return check_encoder(value) is not None
    except ValueError:
        return False


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

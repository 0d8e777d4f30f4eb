"""What all models of a study file share, and how their errors read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipelines.documents import Json

_ADDED: dict[str, Any] = {"added": True}


class Strict(BaseModel):
    """Unknown keys are errors, values do not change after validation."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


def added(default: Any, **how: Any) -> Any:
    """A field that is younger than schema 1; arguments as of pydantic's Field.

    While it stands at its default it is no part of anybody's identity: studies and trials from
    before it keep their keys. So a default never changes once it is released.
    """
    return Field(default=default, json_schema_extra=_ADDED, **how)


def identity(model: Strict) -> Json:
    """What tells a model from others: its plain values, without added fields at their default."""
    values = model.model_dump(mode="json")
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if field.json_schema_extra == _ADDED and value == field.get_default():
            del values[name]
        elif isinstance(value, Strict):
            values[name] = identity(value)
    return values


def one_of(names: Collection[str]) -> AfterValidator:
    """What a text field must be: a name in a registry, as a `Literal` says it of fixed names."""

    def check(value: str) -> str:
        if value not in names:
            *others, last = map(repr, names)
            raise ValueError(f"Input should be {', '.join(others)} or {last}")
        return value

    return AfterValidator(check)


def describe(error: ValidationError) -> str:
    """One line of a validation error: key, value, what is allowed; the first of several."""
    first, more = error.errors(include_url=False)[0], error.error_count() - 1
    key = ".".join(str(part) for part in first["loc"]) or "study"
    value = "" if first["type"] in ("missing", "extra_forbidden") else f" = {first['input']!r}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}{value}: {message}" + (f" (and {more} more)" if more else "")

"""What all models of a study file share, and how their errors read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from pipelines.documents import Json

LONGEST = 200  # letters of a value in a message
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


def describe(error: ValidationError, root: type[BaseModel] | None = None, within: str = "") -> str:
    """One line of a validation error: key, value, what is allowed; the first of several.

    root: the model that was validated; then an unknown key is answered with those that there are.
    within: the key that the model stands under.
    """
    first, more = error.errors(include_url=False)[0], error.error_count() - 1
    key = ".".join(str(part) for part in (*within.split(), *first["loc"]))
    if _is_of_a_model(first, root):
        place = f"{key}: " if key else ""
    elif first["type"] in ("missing", "extra_forbidden"):
        place = f"{key}: "
    else:
        place = f"{key or 'study'} = {preview(first['input'])}: "
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden" and root is not None:
        message = _unknown(str(first["loc"][-1]), _fields_at(root, first["loc"][:-1]))
    return f"{place}{message}" + (f" (and {more} more)" if more else "")


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The end of a message: which known name is close to an unknown one; empty if none is."""
    close = get_close_matches(name, list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def preview(value: Any) -> str:
    """A value for a message of one line, cut where it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _is_of_a_model(first: ErrorDetails, root: type[BaseModel] | None) -> bool:
    """Is it about several fields of a model? Such a message names them and their values itself."""
    at_a_model = not first["loc"] or (root is not None and bool(_fields_at(root, first["loc"])))
    return first["type"] == "value_error" and at_a_model


def _unknown(name: str, names: list[str]) -> str:
    allowed = f"; allowed are {', '.join(names)}" if names else ""
    return f"Extra inputs are not permitted{allowed}{did_you_mean(name, names)}"


def _fields_at(model: Any, loc: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model at a place within another one; none where there is none."""
    for part in loc:
        fields = getattr(model, "model_fields", {})
        field = fields.get(part) or next((f for f in fields.values() if f.alias == part), None)
        inner = [field.annotation, *get_args(field.annotation)] if field else []
        model = next((t for t in inner if hasattr(t, "model_fields")), None)
    fields = getattr(model, "model_fields", {})
    return [field.alias or name for name, field in fields.items()]

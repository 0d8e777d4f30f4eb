"""What was typed wrong, in one line."""

from __future__ import annotations

from pydantic import ValidationError
from typer import TyperException


def usage_line(error: TyperException) -> str:
    """What typer has to say of a command that it does not understand.

    It names option, value and what is allowed.
    """
    cause, parameter = error.__cause__, getattr(error, "param", None)
    if isinstance(cause, ValidationError) and parameter is not None:
        first = cause.errors(include_url=False)[0]
        value, message = first["input"], first["msg"].removeprefix("Value error, ")
        message = message.removeprefix(f"{value!r} is ").replace("Input should", "must")
        return f"{max(parameter.opts, key=len)} {value!r}: {message.rstrip('.')}"
    if guesses := getattr(error, "possibilities", None):
        return f"{error.message}. Did you mean {', '.join(guesses)}?"
    return " ".join(error.format_message().split())

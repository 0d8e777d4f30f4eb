"""What ends a command, in one line: what was typed wrong, or is wrong with a study or a file."""

from __future__ import annotations

import signal

from pydantic import ValidationError
from typer import TyperException

from pipelines.errors import UserError


def line_and_status(error: BaseException) -> tuple[str, int] | None:
    """What to tell, and the exit status; None if it is nobody's mistake but the program's."""
    if isinstance(error, UserError):
        return str(error), error.status
    if isinstance(error, TyperException):
        return usage_line(error), UserError.status
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 128 + signal.SIGINT
    from pipelines.ledger.storage import STORAGE_ERRORS, reason_of  # loads the stores

    if isinstance(error, STORAGE_ERRORS):
        return f"a file or the storage failed: {reason_of(error)}", UserError.status
    return None


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

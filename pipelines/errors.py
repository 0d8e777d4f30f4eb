"""Exceptions that end a command in an orderly way."""


class UserError(Exception):
    """A user's mistake: one line that names the thing, its value and what is allowed.

    The command line prints the message on standard error and exits with status 2.
    """


class Interrupted(Exception):
    """The user, or the system, asked a launch to stop; what had finished is in the ledger."""

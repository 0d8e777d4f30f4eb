"""The one exception that means: the user asked for something that cannot be done."""


class UserError(Exception):
    """A user's mistake: one line that names the thing, its value and what is allowed.

    The command line prints the message on standard error and exits with status 2.
    """

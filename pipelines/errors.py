"""Exceptions that end a command in an orderly way."""

import signal

GOES_ON = "; what was done is kept, the same command goes on from there"
LONGEST = 4000  # characters of a message


def one_line(error: BaseException) -> str:
    """What an exception says, in one line; its class where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


class UserError(Exception):
    """A user's mistake: one line that names the thing, its value and what is allowed.

    The command line prints the message on standard error and exits with `status`. Whatever a value
    in it holds, it stays one line, and a terminal obeys none of it: what cannot be printed is shown
    as Python writes it. Of a message that no one would read the middle is left out.
    """

    status = 2

    def __init__(self, message: str) -> None:
        printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
        if len(printable) > LONGEST:
            printable = f"{printable[: LONGEST // 2]} ... {printable[-LONGEST // 2 :]}"
        super().__init__(printable)


class RayLost(UserError):
    """Ray's servers ended under a launch, by no mistake in the study: the same command goes on."""

    status = 4

    def __init__(self, message: str) -> None:
        # A copy from another process says it already.
        super().__init__(message if message.endswith(GOES_ON) else f"{message}{GOES_ON}")


class Interrupted(Exception):
    """A signal asked a launch to stop; what had finished is in the ledger.

    `status` is the exit status that shells give for it: 129 for SIGHUP, 130 for SIGINT, 143 for
    SIGTERM, 138 for SIGUSR1.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number

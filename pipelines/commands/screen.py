"""Standard output and error as they are: of any encoding, and perhaps with nobody there to read."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO

from pipelines.errors import UserError

PLAIN = "plain"  # the name of the handler of what an encoding lacks
LOOKALIKES = {"±": "+-", "–": "-", "—": "-", "…": "...", "×": "x", "→": "->", "•": "*", "≥": ">="}
LOOKALIKES |= {"≤": "<=", "−": "-", "’": "'", "“": '"', "”": '"', "µ": "u", "\xa0": " "}
NOBODY_READS = (errno.EPIPE, errno.EIO)  # `| head`, and a terminal that was closed


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """What an encoding lacks, in ASCII: something alike, a letter without its accent, or ?."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(map(_in_ascii, lacking)), error.end


def _in_ascii(character: str) -> str:
    if character in LOOKALIKES:
        return LOOKALIKES[character]
    parts = unicodedata.normalize("NFKD", character)
    return "".join(c for c in parts if c.isascii()) or "?"


codecs.register_error(PLAIN, _plainly)


class Screen(io.TextIOBase):
    """A text stream that shows what its encoding can, and is silent once nobody reads it.

    Neither is a reason to end what a command is doing, or to change its exit status. A full disk
    is: somebody wants to read what does not fit.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The stream's; libraries choose their characters by it."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The stream's file descriptor."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write what can be shown of it."""
        shown = text.encode(self.encoding, PLAIN).decode(self.encoding)
        with self._unless_nobody_reads():
            self._stream.write(shown)
        return len(text)

    def flush(self) -> None:
        """Write what is still in memory."""
        with self._unless_nobody_reads():
            self._stream.flush()

    @contextmanager
    def _unless_nobody_reads(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # What the stream still holds is written at the very end, and must go somewhere.
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())
            if error.errno not in NOBODY_READS:
                raise UserError(f"{self._stream.name}: {error.strerror}") from None


@contextmanager
def screens() -> Iterator[None]:
    """Standard output and error are screens meanwhile; what was closed (`>&-`) shows nothing."""
    with ExitStack() as entered:
        for redirect, stream in ((redirect_stdout, sys.stdout), (redirect_stderr, sys.stderr)):
            screen = Screen(
                stream or entered.enter_context(open(os.devnull, "w", encoding="utf-8"))
            )
            entered.enter_context(redirect(screen))
            entered.callback(screen.flush)
        yield

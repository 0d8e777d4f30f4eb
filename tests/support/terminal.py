"""A command on a terminal of its own, and what a person sees there at its end."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

MOVES = re.compile(r"\x1b\[(\d*)([A-Za-z])|\x1b\[\?\d+[hl]|(\r)|(\n)|([^\x1b\r\n]+)")


class OnTerminal(NamedTuple):
    """How it ended: its status, the screen's lines, and what went to a pipe on standard error."""

    status: int
    lines: list[str]
    error: str


def on_terminal(
    command: Sequence[str], environment: Mapping[str, str], *, error_apart: bool = False
) -> OnTerminal:
    """Run it with standard output, and error unless `error_apart`, on a pseudo-terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        env={**environment, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE if error_apart else theirs,
        text=True,
    )
    os.close(theirs)
    written = b""
    with process:
        with suppress(OSError):  # the terminal's other side is closed
            while piece := os.read(ours, 2**16):
                written += piece
        error = process.stderr.read() if process.stderr else ""
    os.close(ours)
    return OnTerminal(process.returncode, rendered(written.decode()), error)


def rendered(written: str) -> list[str]:
    """The lines of a screen of any height after all that was written on it."""
    lines, row, column = [""], 0, 0
    for count, move, home, down, text in (m.groups() for m in MOVES.finditer(written)):
        if home:
            column = 0
        elif down:
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif text:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + text + line[column + len(text) :]
            column += len(text)
        elif move == "A":
            row = max(0, row - int(count or 1))
        elif move == "K":
            lines[row] = "" if count == "2" else lines[row][:column]
    return [stripped for line in lines if (stripped := line.rstrip())]

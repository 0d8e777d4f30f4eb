"""Whether this process has lately waited for W&B's server in vain.

Nodes without internet would otherwise wait in every trial, and say so each time.
"""

from __future__ import annotations

import time

ASK_AGAIN = 600.0  # seconds


class _Server:
    def __init__(self) -> None:
        self._missed: float | None = None

    def was_missed(self) -> None:
        """It was waited for in vain."""
        self._missed = time.monotonic()

    def is_away(self) -> bool:
        """Whether to wait for it no more, for ten minutes."""
        return self._missed is not None and time.monotonic() - self._missed < ASK_AGAIN

    def try_again(self) -> None:
        """Wait for it the next time, whatever was."""
        self._missed = None


server = _Server()

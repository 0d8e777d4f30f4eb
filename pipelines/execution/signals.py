"""An orderly stop by a signal.

SIGINT comes from Ctrl-C, SIGTERM from SLURM, Kubernetes and `ray job stop`, SIGHUP from a terminal
that is closed, SIGUSR1 from SLURM's --signal.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from threading import current_thread, main_thread
from types import FrameType, TracebackType

ShouldStop = Callable[[], bool]  # is asked from time to time
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


class StopSignals:
    """While entered, the first of `SIGNALS` is noted; any further one acts as it did before.

    A SIGHUP that this process ignores is none (`nohup`): it is to outlive its terminal.
    Python gives signals to its main thread alone: in another one there is nothing to note.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> StopSignals:
        taken = SIGNALS if current_thread() is main_thread() else ()
        before = {number: signal.getsignal(number) for number in taken}
        if before.get(signal.SIGHUP) == signal.SIG_IGN:
            del before[signal.SIGHUP]
        self._previous = before
        self._install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def __call__(self) -> bool:
        """Whether to stop.

        Ray and Tune take signals for themselves when they start; each call takes them back.
        """
        if self.received is None:
            self._install()
        return self.received is not None

    def _install(self) -> None:
        for number in self._previous:
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = number
            return
        signal.signal(number, self._previous[signal.Signals(number)])
        signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

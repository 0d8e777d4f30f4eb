"""What a running trial says of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pipelines.trial_documents import HistoryRow, Outcome

State = dict[str, Any]


class Progress(NamedTuple):
    """What a trial yields after each step.

    row: at the end of an epoch; result: at the trial's end; snapshot: the way to its state.
    """

    row: HistoryRow | None
    result: Outcome | None
    snapshot: Callable[[], State]

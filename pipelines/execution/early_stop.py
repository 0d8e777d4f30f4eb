"""When to give a launch up: all that it runs fails, and in the same way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from pipelines.ledger.record import TrialRecord
from pipelines.planning.planner import Planner

#: Trials of each arm. One may be bad luck and two a bad repeat; three, in every arm, with nothing
#: that came to a result, are a mistake in the study or its machine, which more trials only repeat.
FAILING_ALIKE = 3


class EarlyStop:
    """Is told of the trials of a study; knows whether to go on.

    finished: the trials of earlier launches. Their failures do not count, since what they failed
    for may have been put right; a single result does.
    """

    def __init__(self, planner: Planner, finished: Iterable[TrialRecord]) -> None:
        self._planner = planner
        self._any_result = any(trial.result is not None for trial in finished)
        self._failures: dict[str, list[tuple[str, str]]] = defaultdict(list)

    def ended(self, trial: TrialRecord) -> None:
        """A trial of this launch ended, or has come to a rung."""
        self._any_result |= trial.result is not None or trial.state == "stopped"
        error = trial.error or {}
        self._failures[trial.spec["arm"]].append((error.get("class", ""), error.get("type", "")))

    @property
    def hopeless(self) -> bool:
        """Whether the first `FAILING_ALIKE` trials of every arm failed alike.

        Of an arm that has fewer, all did.
        """
        if self._any_result or not self._failures:
            return False
        return all(map(self._fails, self._planner.arms))

    def _fails(self, arm: str) -> bool:
        failures = self._failures[arm]
        if len(set(failures)) > 1:
            return False
        over = self._planner.done[arm] == self._planner.planned[arm]
        return over or len(failures) >= FAILING_ALIKE

"""What a fault came to, against an undisturbed run of the same study."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.faults.commands import Said
from pipelines.documents import differences
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.record import TrialRecord

Trials = dict[str, TrialRecord]
#: Logged by libraries of others, not by a command: nothing of ours may match.
PARDONED = re.compile(r"^$")


@dataclass
class Verdict:
    """What was wrong.

    lost: trials that are not finished at the end. doubled: trials that are there under another key,
    with another result, or run again though they had one. unseen: damage that nothing named and
    that did not go away. false: exit statuses and output that are not as documented.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)  # command and status, of all that ran

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.unseen or self.false)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def hear(self, said: Said, allowed: Iterable[int]) -> Said:
        """Note a command's status, and whether its output is as it should be."""
        name = said.command.partition(" ")[0]
        self.statuses.append(f"{name} {said.status}")
        errors = [line for line in said.err.splitlines() if not PARDONED.match(line)]
        if said.status is None:
            self.false.append(f"{name} hangs")
        elif said.status not in allowed:
            self.false.append(f"{name}: status {said.status}, {errors[-1:]}")
        if "Traceback" in said.words:
            self.false.append(f"{name}: traceback, {errors[-1:]}")
        elif len(errors) > (said.status == 2):
            self.false.append(f"{name}: on stderr: {errors[:3]}")
        elif said.status == 2 and not (errors and errors[0].startswith("error: ")):
            self.false.append(f"{name}: status 2 without its line")
        return said

    def compare(self, expected: Trials, there: Trials, before: Trials, untouched: set[str]) -> None:
        """The trials at the end.

        before: as they were when the fault was dealt. untouched: keys of those whose files the
        fault did not change, so that none of them may have been run again.
        """
        for key, trial in expected.items():
            result = there[key].result if key in there else None
            if result is None:
                self.lost.append(f"{key}: {'not finished' if key in there else 'missing'}")
            elif names := differences(trial.result or {}, result):
                self.doubled.append(f"{key}: another result, in {', '.join(names)}")
        for key in there.keys() - expected.keys():
            self.doubled.append(f"{key}: extra")
        for key, trial in there.items():
            earlier = before.get(key)
            if trial.conflicts > (earlier.conflicts if earlier else 0):
                self.doubled.append(f"{key}: conflict")
            if earlier is None or earlier.result is None or key not in untouched:
                continue
            if trial.attempts > earlier.attempts:
                self.doubled.append(f"{key}: run again though finished")


def trials_at(location: str) -> Trials:
    """All trials of the study there; every file is read and the index is not believed."""
    return Ledger.open(location, create=False).contents("all").trials

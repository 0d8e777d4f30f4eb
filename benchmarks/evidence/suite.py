"""Running the suite: each set's study at three learning rates, each with a ledger of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from benchmarks.evidence.sets import EvidenceSet
from pipelines.commands.launch import launch
from pipelines.commands.options import Options
from pipelines.errors import UserError
from pipelines.execution.estimate import Estimate, estimate
from pipelines.report.study_state import StudyState, load_study_state
from pipelines.study.protocol import with_changes
from pipelines.study.study_file import Study

#: Of the study's learning rate. Every arm has these three and no other; the study's own comes
#: first, and so wins where val cannot tell them apart.
RATES = (1.0, 0.25, 4.0)


@dataclass(frozen=True)
class Rated:
    """A set's study at one learning rate.

    Data seeds depend on the protocol's seed and the repeat alone: at all three rates a repeat has
    the same splits and noise.
    """

    entry: EvidenceSet
    rate: float
    root: Path

    @property
    def storage(self) -> Path:
        """The study's directory."""
        return self.root / self.entry.name / f"lr-{self.rate:g}"

    def study(self, request: dict[str, int] | None = None) -> Study:
        """The study to launch; request: overrides of its request."""
        study = self.entry.study
        lr = study.protocol.schedule.lr * self.rate
        return study.model_copy(
            update={
                "name": f"{study.name}-lr-{self.rate:g}",
                "protocol": with_changes(study.protocol, {"schedule.lr": lr}),
                "request": study.request.model_copy(update=request or {}),
            }
        )

    def state(self) -> StudyState | None:
        """What its ledger holds; None if it was never launched."""
        if not (self.storage / "study.json").is_file():
            return None
        return load_study_state(str(self.storage))[1]


def rated(sets: list[EvidenceSet], root: Path) -> Iterator[Rated]:
    """Every study of the sets, set by set."""
    for entry in sets:
        for rate in RATES:
            yield Rated(entry, rate, root)


def refuse_missing_data(sets: list[EvidenceSet]) -> None:
    """Before hours are spent on the first sets, the last one's data must be there.

    Raises:
        UserError: the folder of a set is not there, or $UNTUNED_DATA is not set.
    """
    needed = {entry.data: entry.name for entry in sets if entry.data}
    if not needed:
        return
    if not (place := os.environ.get("UNTUNED_DATA")):
        raise UserError("the environment variable UNTUNED_DATA is not set; see docs/evidence.md")
    for folder, name in needed.items():
        if not (Path(place) / folder).is_dir():
            raise UserError(
                f"set {name!r}: there is no {folder!r} in {place!r}; docs/evidence.md says how to "
                "get it"
            )


def run_suite(
    sets: list[EvidenceSet],
    root: Path,
    request: dict[str, int],
    options: Options,
    console: Console,
) -> None:
    """Run what is missing of every study; the same call goes on where it was stopped.

    request: overrides of every study's request (repeats, trials, seeds). options: of each launch.

    Raises:
        UserError: a study cannot run. Interrupted: it was asked to stop.
    """
    refuse_missing_data(sets)
    studies = list(rated(sets, root))
    for number, one in enumerate(studies, 1):
        study = one.study(request)
        console.print(f"[{number} of {len(studies)}] {study.name}: {study.about}", markup=False)
        launch(study, replace(options, storage=str(one.storage)), console)


def estimates(sets: list[EvidenceSet], request: dict[str, int]) -> dict[str, Estimate]:
    """Trials, passes and seconds of each set's three studies; measured at the study's own rate."""
    costs = {}
    for entry in sets:
        study = Rated(entry, 1.0, Path()).study(request)
        arms = estimate(study).values()
        costs[entry.name] = Estimate(
            trials=len(RATES) * sum(arm.trials for arm in arms),
            passes=len(RATES) * sum(arm.passes for arm in arms),
            seconds=len(RATES) * sum(arm.seconds for arm in arms),
            files=len(RATES) * sum(arm.files for arm in arms),
        )
    return costs

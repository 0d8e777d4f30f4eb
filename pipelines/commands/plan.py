"""The command `plan`."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from typing import Any

from rich.console import Console

from pipelines.analysis.words import count, listed
from pipelines.commands.launch import rehearsal
from pipelines.commands.printing import format_size, plain_table
from pipelines.commands.which_study import default_storage, study_named
from pipelines.execution.progress import format_duration
from pipelines.planning.planner import Planner
from pipelines.study.study_file import Study

#: What a search's trials are for, in the order in which they run.
ROLES = {
    "common": "to choose common values",
    "search": "searched",
    "curve": "retrained for the budget curve",
    "sensitivity": "with one knob moved",
    "final": "final",
    "default": "of the default",
}
NAMED = 2  # arms that a line names


def show_plan(name: str, request: dict[str, Any], quick: bool, console: Console) -> None:
    """Trials, passes, time and disk of a study, arm by arm.

    request: entries of the study's request that the command line overrides. quick: of a rehearsal.
    """
    from pipelines.commands.warm_start import with_warm_start
    from pipelines.execution.estimate import estimate
    from pipelines.execution.preflight import check

    study, place = study_named(name, request)
    if quick:
        study, place = rehearsal(study, request), None
    study = with_warm_start(study, place or default_storage(study.name), check(study))
    with console.status("") as status:
        costs = estimate(study, lambda arm: status.update(f"Measuring a few steps of {arm} ..."))
    numbers = ("trials", "passes", "time of one worker", "disk")
    table = plain_table("arm", *numbers, right=numbers)

    def add(name: str, trials: int, passes: int, seconds: float, files: int, style: str) -> None:
        amounts = f"{passes:,}", format_duration(seconds), format_size(files)
        table.add_row(name, str(trials), *amounts, style=style)

    for arm, cost in costs.items():
        add(arm, cost.trials, cost.passes, cost.seconds, cost.files, style="")
    columns = [(cost.trials, cost.passes, cost.seconds, cost.files) for cost in costs.values()]
    trials, passes, seconds, files = map(sum, zip(*columns, strict=True))
    add("all", trials, passes, seconds, files, style="bold")
    console.print(table)
    workers = max(1, (os.cpu_count() or 1) // study.protocol.threads)
    whole = f"with {count(workers, 'trial')} at once, {format_duration(seconds / workers)} for all"
    for line in (
        *_trials_explained(study),
        "Passes: an example forward counts 1, backward 2.",
        f"Time: measured on this CPU; {whole}.",
    ):
        console.print(line, highlight=False)


def _trials_explained(study: Study) -> list[str]:
    """What the trials of a repeat are for, a line for all arms that have the same."""
    roles: dict[str, Counter[str]] = defaultdict(Counter)
    first, *others = study.scenarios
    for search, counts in Planner(study, "plan", {}, {}).roles.items():
        if (search.scenario, search.repeat) == (first, 0):
            roles[search.arm].update(counts)
    alike: dict[tuple[tuple[str, int], ...], list[str]] = defaultdict(list)
    for arm, counts in roles.items():
        alike[tuple((role, counts[role]) for role in ROLES if counts[role])].append(arm)
    times = count(study.request.repeats, "repeat")
    times += f" in each of {len(others) + 1} scenarios" * bool(others)
    lines = []
    for parts, arms in alike.items():
        more = [f"{len(arms) - NAMED} more"] if len(arms) > NAMED + 1 else []
        names = listed([*arms[:NAMED], *more] if more else arms)
        what = listed([f"{number} {ROLES[role]}" for role, number in parts])
        lines.append(f"Trials of {names}: {times}, with {what} each.")
    return lines

"""The command `plan`."""

from __future__ import annotations

from rich.console import Console

from pipelines.commands.printing import format_size, plain_table
from pipelines.commands.which_study import default_storage, study_named
from pipelines.execution.progress import format_duration


def show_plan(name: str, console: Console) -> None:
    """Trials, passes, time and disk of a study, arm by arm."""
    from pipelines.commands.warm_start import with_warm_start
    from pipelines.execution.estimate import estimate
    from pipelines.execution.preflight import check

    study, place = study_named(name)
    study = with_warm_start(study, place or default_storage(study.name), check(study))
    costs = estimate(study)
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
    console.print(
        "Passes: an example forward counts 1, backward 2. Time: measured on this CPU, one worker."
    )

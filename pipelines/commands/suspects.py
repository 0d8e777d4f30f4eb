"""The command `suspects`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from pipelines.commands.printing import plain_table, print_line

if TYPE_CHECKING:
    from pipelines.suspects.verified import Use

SHOWN = 10  # of the ranking; the rest is in the file


def go_on(storage: str, file: Path, use: Use, console: Console) -> None:
    """Write a study with labels that somebody has verified, and say how to launch it."""
    from pipelines.commands.which_study import check_data_is_there
    from pipelines.report.study_state import open_study
    from pipelines.suspects.verified import go_on_with

    check_data_is_there(open_study(storage)[2], storage)
    done = go_on_with(storage, file, use, Path())
    print_line(
        f"{done.changed:,} labels changed, {done.confirmed:,} confirmed"
        + (f", {done.earlier:,} of before kept" if done.earlier else ""),
        console,
    )
    for path in (done.study, done.labels):
        print_line(str(path), console)
    print_line(f"untuned launch {done.study}", console)


def show_suspects(storage: str, arm: str | None, top: int | None, console: Console) -> None:
    """Write the ranking of suspect labels and show its beginning."""
    from pipelines.commands.which_study import check_data_is_there
    from pipelines.report.label_noise import confident_words
    from pipelines.report.pages import write_report
    from pipelines.report.study_state import open_study
    from pipelines.suspects.contact_sheet import evidence, write_suspects

    check_data_is_there(open_study(storage)[2], storage)
    suspects, noise, paths = write_suspects(storage, arm, top)
    columns = ("rank", "given", "suggested", "score", "example")
    table = plain_table(*columns, right=("rank", "score"))
    for rank, s in enumerate(suspects.ranking[:SHOWN], 1):
        cells = (str(rank), s.given, s.suggested, f"{s.score:.2f}", s.name)
        table.add_row(*map(escape, cells))
    console.print(table)
    print_line(f"Ranked by the final models of {suspects.arm}. {evidence(suspects)}", console)
    if noise:
        said = confident_words(noise)
        print_line(f"{said[0].upper()}{said[1:]}.", console)
    *_, page = write_report(storage)
    for path in [*paths, f"{page}#study-0-suspects"]:
        print_line(path, console)

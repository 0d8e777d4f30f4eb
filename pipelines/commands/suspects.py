"""The command `suspects`."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from pipelines.commands.printing import plain_table, print_line

SHOWN = 10  # of the ranking; the rest is in the file


def show_suspects(storage: str, arm: str | None, top: int | None, console: Console) -> None:
    """Write the ranking of suspect labels and show its beginning."""
    from pipelines.commands.which_study import check_data_is_there
    from pipelines.report.pages import write_report
    from pipelines.report.study_state import open_study
    from pipelines.suspects.contact_sheet import evidence, write_suspects

    check_data_is_there(open_study(storage)[2], storage)
    suspects, paths = write_suspects(storage, arm, top)
    columns = ("rank", "given", "suggested", "score", "example")
    table = plain_table(*columns, right=("rank", "score"))
    for rank, s in enumerate(suspects.ranking[:SHOWN], 1):
        cells = (str(rank), s.given, s.suggested, f"{s.score:.2f}", s.name)
        table.add_row(*map(escape, cells))
    console.print(table)
    print_line(f"Ranked by the final models of {suspects.arm}. {evidence(suspects)}", console)
    *_, page = write_report(storage)
    for path in [*paths, f"{page}#study-0-suspects"]:
        print_line(path, console)

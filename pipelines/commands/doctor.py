"""The command `doctor`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from pipelines.commands.printing import format_size, print_columns, print_line
from pipelines.ledger.damage import damage_lines
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.storage import is_url, open_storage


def run_doctor(storage: str | None, address: str | None, console: Console) -> int:
    """Show each machine as a launch would find it, and verify the study's files.

    1 if something must be put right first, or if a file is damaged.
    """
    from pipelines.cluster.doctor import examine_cluster, examine_here, token_file
    from pipelines.tracking.mode import resolve_mode, wandb_url

    url = wandb_url(resolve_mode())
    if address is None:
        nodes, issues = examine_here(storage, url)
    else:
        from pipelines.cluster.connection import connected

        with connected(address):
            nodes, issues = examine_cluster(storage, url)
    rows = [["NODE", "CPUS", "MEMORY FREE", "DISK FREE", "DEVICES", "TORCH", "RAY", "AUTH MODE"]]
    for name, node in nodes.items():
        versions, devices = node["versions"], "; ".join(node["devices"]) or "none"
        sizes = [format_size(node["memory"]), format_size(node["disk"])]
        cells = [name, str(node["cpus"]), *sizes, devices, versions["torch"], versions["ray"]]
        rows.append([*cells, node["authentication"]])
    print_columns(rows, console)
    print_line(f"Ray token: {token_file()}", console)
    damage = _damage(storage) if storage is not None else []
    for line in [*map(str, issues), *damage]:
        print_line(line, console)
    if not (issues or damage):
        print_line("nothing to put right", console)
    return int(bool(damage) or any(issue.level == "error" for issue in issues))


def _damage(storage: str) -> list[str]:
    """Which files of the study there are not as they were written; every one is read."""
    if not is_url(storage) and not Path(storage).is_dir():
        return []
    damaged = Ledger(open_storage(storage, create=False)).contents("all").damaged
    return [f"damaged: {line}" for line in damage_lines(damaged)]

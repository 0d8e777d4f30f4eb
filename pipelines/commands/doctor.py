"""The command `doctor`."""

from __future__ import annotations

from rich.console import Console

from pipelines.commands.printing import format_size, print_columns, print_line


def run_doctor(storage: str | None, address: str | None, console: Console) -> int:
    """Show each machine as a launch would find it; 1 if something must be put right first."""
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
    for issue in issues:
        print_line(str(issue), console)
    if not issues:
        print_line("nothing to put right", console)
    return int(any(issue.level == "error" for issue in issues))

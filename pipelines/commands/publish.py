"""The commands that publish or serve."""

from __future__ import annotations

from contextlib import suppress

from rich.console import Console

from pipelines.commands.printing import print_line
from pipelines.errors import UserError


def publish_studies(storages: list[str], console: Console) -> None:
    """Bring W&B up to date with studies, and show where to look."""
    from pipelines.tracking.publish import publish

    for storage in storages:
        for url in publish(storage):
            print_line(url, console)


def serve_dashboard(storages: list[str], port: int, console: Console) -> None:
    """Serve the report on loopback, fresh while the study runs, until Ctrl-C."""
    from pipelines.report.dashboard import dashboard_server

    try:
        server = dashboard_server(storages, port)
    except OSError as error:
        raise UserError(f"--port {port}: {error.strerror}") from None
    print_line(f"http://127.0.0.1:{server.server_port} (Ctrl-C ends)", console)
    with server, suppress(KeyboardInterrupt):
        server.serve_forever()

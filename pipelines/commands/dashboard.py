"""The command `dashboard`."""

from __future__ import annotations

from contextlib import suppress

from rich.console import Console

from pipelines.commands.printing import print_line
from pipelines.errors import UserError


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

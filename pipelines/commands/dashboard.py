"""The command `dashboard`."""

from __future__ import annotations

import os
from contextlib import suppress

from rich.console import Console

from pipelines.commands.printing import print_line
from pipelines.errors import UserError


def serve_dashboard(storages: list[str], port: int, console: Console) -> None:
    """Serve a live page and the report on loopback, fresh while the study runs, until Ctrl-C."""
    from pipelines.execution.live import live_view
    from pipelines.report.dashboard import Dashboard
    from pipelines.report.dashboard_server import DashboardServer

    dashboard = Dashboard(storages, live_view)
    try:
        server = DashboardServer(dashboard, port)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise UserError(f"--port {port}: {reason}; give another one, or 0 for a free one") from None
    print_line(f"http://127.0.0.1:{server.port} (Ctrl-C ends)", console)
    with suppress(KeyboardInterrupt):
        server.run()

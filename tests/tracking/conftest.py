"""A client that nothing of this machine speaks to, and a server in its place."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from pipelines.tracking.server import server as wandb_server
from tests.support.wandb_standin import StandIn, client_environment

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def client(tmp_path: Path, monkeypatch) -> Iterator[None]:
    """A client of its own for each test: it reads its settings once per process."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name, value in client_environment(NOWHERE, home).items():
        monkeypatch.setenv(name, value)
    wandb.teardown()
    wandb_server.try_again()
    yield
    wandb.teardown()
    wandb_server.try_again()


@pytest.fixture
def server(monkeypatch) -> Iterator[StandIn]:
    with StandIn() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        yield server

"""How trials are logged: what is asked for, what the environment says, whether there is a key."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from pipelines.errors import UserError
from pipelines.tracking import mode as tracking_mode
from pipelines.tracking.mode import resolve_mode
from tests.support.wandb_standin import API_KEY, client_environment

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def client(tmp_path: Path, monkeypatch) -> Iterator[None]:
    """A client of its own for each test: it reads its settings once per process."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name, value in client_environment("http://127.0.0.1:9", tmp_path).items():
        monkeypatch.setenv(name, value)
    wandb.teardown()
    yield
    wandb.teardown()


def test_a_configured_key_means_online():
    assert resolve_mode() == "online"
    assert "WANDB_SERVICE" not in os.environ  # or trials would share, and lose, the driver's


def test_without_a_key_the_mode_is_offline_and_says_so_once(monkeypatch, caplog):
    monkeypatch.delenv("WANDB_API_KEY")
    assert resolve_mode() == "offline"
    [warning] = [r.getMessage() for r in caplog.records if r.name == tracking_mode.__name__]
    assert "no API key" in warning and "offline" in warning


def test_a_key_in_netrc_counts(monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    netrc = Path(os.environ["NETRC"])
    netrc.write_text(f"machine 127.0.0.1:9\n  login user\n  password {API_KEY}\n")
    netrc.chmod(0o600)
    assert resolve_mode() == "online"


@pytest.mark.parametrize("mode", ["offline", "disabled", "online"])
def test_what_is_requested_counts_more_than_the_environment(monkeypatch, mode: str):
    monkeypatch.setenv("WANDB_MODE", "offline" if mode == "disabled" else "disabled")
    assert resolve_mode(mode) == mode


def test_the_environment_counts_more_than_the_default(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert resolve_mode() == "disabled"


@pytest.mark.parametrize(("mode", "key"), [("on", API_KEY), ("online", ""), ("online", "short")])
def test_a_mode_that_cannot_be_is_a_users_mistake(monkeypatch, mode: str, key: str):
    monkeypatch.setenv("WANDB_API_KEY", key)
    with pytest.raises(UserError, match=r"\AW&B[^\n]*\Z"):
        resolve_mode(mode)


@pytest.mark.slow
def test_a_launch_that_is_told_the_mode_loads_neither_wandb_nor_ray_before_its_check():
    code = (
        "import sys; from pipelines.commands.checked_launch import resolve_mode; "
        "resolve_mode('offline'); "
        "sys.exit(bool({'wandb', 'ray'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_what_the_environment_says_of_runs_is_named_once_and_not_heeded(monkeypatch, caplog):
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc123")
    monkeypatch.setenv("WANDB_RUN_ID", "leftover")
    assert resolve_mode("offline") == "offline"
    [warning] = [r.getMessage() for r in caplog.records if r.name == tracking_mode.__name__]
    assert "WANDB_RUN_ID, WANDB_SWEEP_ID are" in warning and "\n" not in warning
    assert resolve_mode("disabled") == "disabled"
    assert len(caplog.records) == 1

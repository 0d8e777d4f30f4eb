"""A launch on a real Ray: killed, stopped, and gone on with; nothing of it stays behind."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.launches import ROOT, assert_same_results, gone, start, wait_for
from tests.support.marks import marked_environment


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1], ids=lambda n: n.name
)
def test_a_signal_ends_it_within_seconds_in_one_line_and_nothing_is_left(
    tmp_path: Path, number: signal.Signals
):
    """Sent as terminals and `timeout` do: to all processes of the group; Ray is in another one."""
    storage, environment = tmp_path / "study", marked_environment()
    driver = start(storage, environment)
    wait_for(storage, "trials/*/attempts/*/started.json", driver)
    os.killpg(driver.pid, number)
    out, err = driver.communicate(timeout=180)
    assert driver.returncode == 128 + number
    assert err == "" and "The same command goes on" in out.splitlines()[-1]
    assert json.loads(next(storage.glob("lease/*.json")).read_text())["expires"] == 0.0
    assert gone(environment)


@pytest.mark.slow
def test_a_driver_killed_at_random_moments_ends_with_the_very_same_results(tmp_path: Path):
    storage, environment = tmp_path / "study", marked_environment()
    rng = random.Random(0)
    for _ in range(5):
        driver = start(storage, environment, "--wandb", "disabled")
        if rng.random() < 0.8:
            wait_for(storage, "trials/*/attempts/*/started.json", driver)
        time.sleep(rng.uniform(0, 4))
        driver.kill()
        driver.communicate()
        assert gone(environment)
    whole = tmp_path / "whole"
    for place, options in ((storage, ()), (whole, ("--executor", "inline"))):
        last = start(place, environment, "--wandb", "disabled", *options)
        _, err = last.communicate(timeout=400)
        assert (last.returncode, err) == (0, "")
    assert_same_results(storage, whole)


@pytest.mark.slow
def test_a_local_launch_ignores_addresses_that_lie_around_and_leaves_no_token(tmp_path: Path):
    stale = {"RAY_ADDRESS": "192.0.2.1:6379"}
    environment = marked_environment() | stale
    environment.pop("RAY_AUTH_MODE")
    storage = tmp_path / "study"
    driver = start(storage, environment, "--arms", "ce", "--repeats", "1", "--wandb", "disabled")
    _, err = driver.communicate(timeout=300)
    assert (driver.returncode, err) == (0, "")
    assert not list(tmp_path.rglob("auth_token")) and gone(environment)


@pytest.mark.parametrize(
    ("environment", "address", "mode", "token"),
    [
        ({}, None, None, True),
        ({}, "head:6379", None, False),
        ({"RAY_AUTH_MODE": "disabled"}, None, "disabled", False),
        ({"RAY_AUTH_MODE": "disabled"}, "head:6379", "disabled", False),
        ({"RAY_AUTH_TOKEN_PATH": "/home/me/token"}, "head:6379", "token", True),
    ],
)
def test_rays_token_mode_is_set_where_ray_would_not(
    tmp_path: Path, monkeypatch, environment: dict[str, str], address, mode, token: bool
):
    from pipelines.cluster.connection import AUTHENTICATION, _authentication

    monkeypatch.setenv("HOME", str(tmp_path))
    for name in AUTHENTICATION:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with _authentication(address, str(tmp_path)):
        assert os.environ.get("RAY_AUTH_MODE") == mode
        assert ("RAY_AUTH_TOKEN_PATH" in os.environ) == token
    assert dict(os.environ) == before


def test_a_token_in_the_home_directory_is_used_to_join_a_cluster(tmp_path: Path, monkeypatch):
    from pipelines.cluster.connection import AUTHENTICATION, _authentication

    monkeypatch.setenv("HOME", str(tmp_path))
    for name in AUTHENTICATION:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0" * 64)
    with _authentication("head:6379", str(tmp_path)):
        assert os.environ["RAY_AUTH_MODE"] == "token"


def test_no_secret_is_in_the_runtime_environment(tmp_path: Path, monkeypatch):
    from pipelines.cluster.connection import PACKAGES, _code

    assert _code(None, tmp_path, {}) == {}
    sent = Path(_code("head:6379", tmp_path, {})["working_dir"])
    assert sorted(path.name for path in sent.iterdir()) == sorted(PACKAGES)
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert _code("head:6379", tmp_path, {}) == {}


@pytest.mark.parametrize("before", [None, "/mine"])
def test_the_processes_of_an_own_ray_find_the_program_by_the_environment(monkeypatch, before):
    from pipelines.cluster.connection import _importable

    monkeypatch.delenv("PYTHONPATH", raising=False)
    if before:
        monkeypatch.setenv("PYTHONPATH", before)
    with _importable(None):
        assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(ROOT), *filter(None, [before])]
    with _importable("head:6379"):
        assert os.environ.get("PYTHONPATH") == before


def test_what_is_imported_aside_is_there_when_ray_is_and_when_ray_refuses(
    tmp_path: Path, monkeypatch
):
    from pipelines.cluster.sweep import _importing

    (tmp_path / "slow_to_load.py").write_text("import time; time.sleep(0.2)\nloaded = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConnectionError), _importing("slow_to_load"):
        raise ConnectionError
    assert sys.modules.pop("slow_to_load").loaded


def test_an_import_aside_that_fails_leaves_no_traceback_of_its_own(
    tmp_path: Path, monkeypatch, capsys
):
    from pipelines.cluster.sweep import _importing

    (tmp_path / "broken_to_load.py").write_text("raise RuntimeError('here')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with _importing("broken_to_load"):
        pass
    assert capsys.readouterr() == ("", "")


def test_tune_waits_for_no_import_that_could_be_made_while_ray_starts():
    code = (
        "import sys, pipelines.cluster.sweep; early = {'ray.tune', 'wandb'} & {*sys.modules}; "
        "import pipelines.cluster.tune_run; late = {'ray.tune', 'wandb'} - {*sys.modules}; "
        "sys.exit(bool(early or late))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

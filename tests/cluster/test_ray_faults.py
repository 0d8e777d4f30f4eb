"""Ray's servers end under a launch: it goes on, or says in one line why not."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.launches import assert_same_results, gone, start, wait_for
from tests.support.marks import marked_environment, marked_processes


def ray_servers(environment: dict[str, str], name: str) -> list[int]:
    return [pid for pid, command in marked_processes(environment).items() if name in command]


@pytest.mark.slow
def test_sigterm_to_every_single_process_ends_it_in_one_line_too(tmp_path: Path):
    """As batch systems send it: also to Ray's, which nothing can stop from ending."""
    storage, environment = tmp_path / "study", marked_environment()
    driver = start(storage, environment)
    wait_for(storage, "trials/*/attempts/*/started.json", driver)
    for pid in marked_processes(environment):
        os.kill(pid, signal.SIGTERM)
    out, err = driver.communicate(timeout=400)
    assert (driver.returncode, err) == (128 + signal.SIGTERM, "")
    assert out.splitlines()[-1].startswith("Stopped by SIGTERM; what was done is kept")
    assert gone(environment)


@pytest.mark.slow
def test_rays_servers_may_die_once_and_the_results_are_the_very_same(tmp_path: Path):
    storage, environment = tmp_path / "study", marked_environment()
    driver = start(storage, environment, "--wandb", "disabled")
    wait_for(storage, "trials/*/attempts/*/started.json", driver)
    for pid in ray_servers(environment, "raylet/raylet"):
        os.kill(pid, signal.SIGKILL)
    out, err = driver.communicate(timeout=400)
    assert (driver.returncode, err) == (0, "")
    assert "Ray is started anew, and the launch goes on" in out
    whole = tmp_path / "whole"
    inline = start(whole, environment, "--wandb", "disabled", "--executor", "inline")
    assert inline.communicate(timeout=400)[1] == ""
    assert_same_results(storage, whole)


@pytest.mark.slow
def test_when_they_die_again_it_ends_in_one_line_with_4(tmp_path: Path):
    storage, environment = tmp_path / "study", marked_environment()
    driver, killed = start(storage, environment, "--wandb", "disabled"), set[int]()
    while driver.poll() is None and len(killed) < 2:
        for pid in ray_servers(environment, "gcs_server"):
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        time.sleep(0.1)
    _, err = driver.communicate(timeout=240)
    assert (driver.returncode, err.count("\n")) == (4, 1)
    # They may have died while Ray was starting.
    assert err.startswith("error: Ray") and "the same command goes on" in err and gone(environment)

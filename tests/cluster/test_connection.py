"""A launch on a Ray cluster that others have started.

Through the Ray client, with a node that does not see the storage, and from an installed wheel.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from pipelines.cluster import connection
from pipelines.documents import decode, differences
from pipelines.errors import UserError
from pipelines.execution.preflight import choose_device
from pipelines.ledger.lease import Holder
from pipelines.ledger.ledger import Ledger
from pipelines.provenance import provenance
from tests.support.ray_nodes import Nodes, free_port, ray_nodes

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, str(ROOT / "run_sweep.py")]
SMALL = ["launch", "digits", "--quick", "--arms", "ce,l2rw,finetune", "--repeats", "1"]
SMALL += ["--checkpoint-seconds", "0.2", "--wandb", "disabled", "--device", "cpu"]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with ray_nodes() as started:
        yield started


def start(
    nodes: Nodes, storage: Path, *options: str, stdout: int | IO[str] = subprocess.PIPE
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, *SMALL, "--storage", str(storage), *options],
        env=nodes.environment | {"PYTHONUNBUFFERED": "1"},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(nodes: Nodes, storage: Path, *options: str) -> tuple[int, str, str]:
    """Exit status, standard output and error of a launch."""
    launched = start(nodes, storage, *options)
    out, err = launched.communicate(timeout=400)
    return launched.returncode, out, err


def wait_for_trial(storage: Path, launched: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not list(storage.glob("trials/*/attempts/*/started.json")):
        assert launched.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def assert_as_inline(nodes: Nodes, storage: Path, *options: str) -> None:
    whole = storage.with_name("inline")
    assert run(nodes, whole, "--executor", "inline", *options)[0] == 0
    actual, expected = (Ledger.open(str(place)).trials() for place in (storage, whole))
    assert actual.keys() == expected.keys()
    for key, trial in expected.items():
        result = actual[key].result
        assert trial.result and result and differences(trial.result, result) == []


def lease(storage: Path) -> Path:
    [path] = (storage / "lease").glob("*.json")
    return path


@pytest.mark.slow
def test_through_the_ray_client_a_signal_stops_it_and_it_goes_on_to_the_very_same_results(
    nodes: Nodes, tmp_path: Path
):
    storage = tmp_path / "study"
    launched = start(nodes, storage, "--address", nodes.client_address)
    wait_for_trial(storage, launched)
    launched.send_signal(signal.SIGUSR1)
    out, err = launched.communicate(timeout=240)
    assert (launched.returncode, err) == (138, "")
    assert out.splitlines()[-1].startswith("Stopped by SIGUSR1; what was done is kept in")
    path = lease(storage)
    holder = Holder(**(decode(path.read_bytes(), f"lease/{path.name}") or {}))
    assert holder.expires == 0.0 and holder.pid != launched.pid  # the drive was on the cluster
    status, out, err = run(nodes, storage, "--address", nodes.client_address)
    assert (status, err) == (0, "") and "ETA 0 s" in out and (storage / "report.md").exists()
    assert_as_inline(nodes, storage)


@pytest.mark.slow
def test_through_the_ray_client_a_refusal_of_the_drive_is_one_line(nodes: Nodes, tmp_path: Path):
    storage = tmp_path / "study"
    with Ledger.open(str(storage)).acquire_lease():
        options = ["--address", nodes.client_address, "--wait-for-lease", "0"]
        status, _, err = run(nodes, storage, *options)
    refused = rf"error: lease: host .*, pid {os.getpid()} is driving this study .*\n"
    assert status == 2 and re.fullmatch(refused, err)


@pytest.mark.slow
def test_through_the_ray_client_a_lost_drive_is_one_line(nodes: Nodes, tmp_path: Path):
    storage = tmp_path / "study"
    launched = start(nodes, storage, "--address", nodes.client_address)
    wait_for_trial(storage, launched)
    os.kill(json.loads(lease(storage).read_text())["pid"], signal.SIGKILL)
    _, err = launched.communicate(timeout=240)
    assert launched.returncode == 4 and err.count("\n") == 1
    assert "the drive on the cluster was lost" in err and "the same command goes on" in err


@pytest.mark.slow
def test_where_few_trials_may_run_each_has_a_gpu_of_its_own(tmp_path: Path):
    """Of made-up GPUs. By itself Ray puts two halves on one of them."""
    few = ["--concurrent", "2", "--gpus-per-trial", "0.5"]
    with ray_nodes(options=["--num-gpus=2"]) as nodes:
        assert run(nodes, tmp_path, *few, "--address", nodes.address)[::2] == (0, "")
    results = [trial.result for trial in Ledger.open(str(tmp_path)).trials().values()]
    assert {result and result["cost"]["gpus"] for result in results} == {1.0}


@pytest.mark.slow
def test_a_storage_that_one_node_does_not_see_is_refused_before_the_first_trial(tmp_path: Path):
    """The second node has a mount namespace of its own.

    In the storage's place is another disk, which holds a study's directory just as well.
    """
    storage = tmp_path / "shared" / "study"
    storage.parent.mkdir()
    hidden = f'mount -t tmpfs none {storage.parent} && mkdir {storage} && exec "$@"'
    prefix = ["unshare", "--map-root-user", "--mount", "sh", "-c", hidden, "sh"]
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"mount namespaces are not permitted here: {tried.stderr.strip()}")
    with ray_nodes() as nodes:
        nodes.add(prefix)
        for address in (nodes.address, nodes.client_address):
            status, _, err = run(nodes, storage, "--address", address)
            assert status == 2 and re.fullmatch(
                r"error: .* \(\w{6}\): does not see the study's storage: give a --storage .*\n", err
            )
        assert not list(storage.glob("trials/*/attempts/*"))
        assert run(nodes, tmp_path / "seen", "--address", nodes.address)[::2] == (0, "")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a wheel in an environment of its own, with one change to the code.

    Nodes that ran the clone's would be refused. The environment lies within a git repository, not
    ours.
    """
    place = tmp_path_factory.mktemp("wheel")
    names = ("methods", "search_spaces", "pipelines", "untuned")
    for name in names:
        shutil.copytree(ROOT / name, place / "source" / name)
    for name in ("run_sweep.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "source")
    with (place / "source" / "methods" / "objective.py").open("a") as changed:
        changed.write("\n\nCHANGED = True\n")
    venv.create(place / "venv")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = [str(place), "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", place / "source", "-w", *wheels], check=True)
    [wheel] = place.glob("*.whl")
    python = str(place / "venv" / "bin" / "python")
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True)
    [packages] = (place / "venv").glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    subprocess.run(["git", "init", "--quiet", place], check=True)
    git = ["git", "-C", place, "-c", "user.name=me", "-c", "user.email=me@example.com"]
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "not ours"], check=True)
    return place / "venv" / "bin" / "untuned"


@pytest.mark.slow
def test_an_installed_wheel_sends_its_code_to_the_nodes(
    nodes: Nodes, tmp_path: Path, installed: Path
):
    def untuned(*words: str) -> subprocess.CompletedProcess[str]:
        environment = nodes.environment | {"PYTHONPATH": ""}
        return subprocess.run(
            [str(installed), *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    nodes.add()
    done = untuned(*SMALL, "--storage", "study", "--address", nodes.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "study" / "report.html").exists()
    for trial in Ledger.open(str(tmp_path / "study")).trials().values():
        assert trial.result
        made_by = trial.result["provenance"]
        assert made_by["code"] != provenance()["code"] and made_by["commit"] is None
    mistaken = untuned("launch", "no-such-study")
    assert mistaken.returncode == 2 and mistaken.stderr.startswith("error: ")


@pytest.mark.slow
def test_a_token_in_the_home_directory_opens_a_cluster_that_wants_one(tmp_path: Path, monkeypatch):
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text(secrets.token_hex(32))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    with ray_nodes() as nodes:
        environment = nodes.environment | {"HOME": str(tmp_path)}
        del environment["RAY_AUTH_MODE"], environment["RAY_AUTH_TOKEN_PATH"]
        for address in (nodes.address, nodes.client_address):
            command = [*PROGRAM, "doctor", "--address", address]
            subprocess.run(command, env=environment, timeout=240, check=True)


@pytest.mark.parametrize(("address", "device"), [("head:6379", "cuda"), ("ray://head:1", "cuda")])
def test_a_cluster_may_have_gpus_that_its_driver_has_not(address: str, device: str, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert choose_device("cuda", address) == device
    assert choose_device("auto", address) == "cpu"


def test_an_address_at_which_nobody_listens_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.1)
    address = f"127.0.0.1:{free_port()}"
    refused = rf"\Aaddress '{address}': no Ray cluster answers there \(.*refused.*\)\Z"
    with pytest.raises(UserError, match=refused), connection.connected(address):
        pass

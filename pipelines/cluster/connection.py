"""Connects to Ray: one of this launch's own on this machine, or a running cluster.

See docs/clusters.md.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

# Before ray is imported: the ledger keeps the results, so Tune's own files and reports are switched
# off.
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # execution/signals.py has all signals
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Tune gives its actors a runtime environment, so it would use none of the workers that a Ray of our
# own starts ahead, one per core.
os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
# And before Ray's workers start, which inherit it: the C library keeps freed memory, since a step
# asks for the same again (docs/performance.md).
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**30))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**34))

import ray
from ray._raylet import Config  # pyright: ignore[reportAttributeAccessIssue]  # compiled
from ray.exceptions import AuthenticationError, RayError

from pipelines import own_modules
from pipelines.cluster.nodes import live_nodes, node_name, remote_on
from pipelines.cluster.watchdog import Server, server_at
from pipelines.errors import RayLost, UserError
from pipelines.execution.machine import ray_folder
from pipelines.ledger.storage import reason_of

A = TypeVar("A")
T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PACKAGES = ("methods", "search_spaces", "pipelines", "untuned")
AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
TOKEN = Path(".ray") / "auth_token"
NONE: Mapping[str, str] = MappingProxyType({})
HEAD_SECONDS = 20.0  # for a head to listen; Ray itself would ask for many minutes
NODE_SECONDS = 120.0  # for a node to install the code and answer


@contextmanager
def connected(address: str | None, modules: Mapping[str, str] = NONE) -> Iterator[None]:
    """A connection to the Ray cluster at `address`.

    Without an address, to a Ray that lives as long as the context. In a task of a cluster the
    connection is there already. modules: of a study's own, which the nodes need (own_modules.py).

    Raises:
        UserError: no cluster answers there, or it does not accept this user.
        RayLost: a Ray on this machine does not start, or its servers died meanwhile.
    """
    quiet()
    if ray.is_initialized():
        yield
        return
    _find(address)
    with (
        tempfile.TemporaryDirectory(prefix="untuned-") as scratch,
        _authentication(address, scratch),
        _importable(address),
    ):
        try:
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                runtime_env=_code(address, Path(scratch), modules),
                include_dashboard=False,
                _temp_dir=None if address else ray_folder(),
            )
        except AuthenticationError as error:
            raise UserError(
                f"address {address!r}: the cluster wants a token: set RAY_AUTH_MODE=token and "
                "RAY_AUTH_TOKEN_PATH to its file, here and on every node"
            ) from error
        except (ConnectionError, RayError, RuntimeError, ValueError) as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            reason = said[-1 if said[0].endswith(":") else 0]  # else a server's traceback follows
            if address is None:
                raise RayLost(f"Ray could not be started here ({reason})") from error
            raise UserError(
                f"address {address!r}: no Ray cluster can be used there ({reason}); "
                "`ray status --address HOST:PORT` must work, with the same RAY_AUTH_MODE everywhere"
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


def on_every_node(function: Callable[[A], T], argument: A) -> dict[str, T | str]:
    """What a function returns on each node, by the node's name; of an error, its last line.

    A node that goes in the meantime does not count.
    """
    nodes = live_nodes()
    names = {node["NodeID"]: node_name(node) for node in nodes}
    asked = {node: remote_on(node, function).remote(argument) for node in names}
    answers: dict[str, T | str] = {}
    for node_id, reference in asked.items():
        try:
            answers[names[node_id]] = ray.get(reference, timeout=NODE_SECONDS)
        except RayError as error:
            if any(node["NodeID"] == node_id for node in live_nodes()):
                answers[names[node_id]] = f"no answer: {str(error).strip().splitlines()[-1]}"
    return answers


def servers_here() -> list[Server]:
    """What this process depends on: Ray's head, and the node that it is connected to."""
    context = ray.get_runtime_context()
    nodes = [node for node in ray.nodes() if node["NodeID"] == context.get_node_id()]
    own = [(node["NodeManagerAddress"], node["NodeManagerPort"]) for node in nodes]
    return [server_at(context.gcs_address), *own]


def _find(address: str | None) -> None:
    """Wait until somebody listens at HOST:PORT; of other addresses Ray sees to that.

    Raises:
        UserError: nobody does.
    """
    if address is None or "://" in address or not address.rpartition(":")[2].isdigit():
        return
    deadline = time.monotonic() + HEAD_SECONDS
    while True:
        try:
            socket.create_connection(server_at(address), timeout=HEAD_SECONDS).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"address {address!r}: no Ray cluster answers there ({reason_of(error)})"
                ) from error
        time.sleep(0.5)


@contextmanager
def _authentication(address: str | None, scratch: str) -> Iterator[None]:
    """Set Ray's token mode as it should be by default.

    A local Ray switches it on, joining a cluster never does, token or not. So a Ray of our own gets
    a token of its own, which goes nowhere else (by default Ray writes one to the home directory,
    where later clusters find it); and a user who has a token uses it. What the environment says
    wins.
    """
    set_here = {}
    if not any(name in os.environ for name in AUTHENTICATION):
        if address is None:
            path = Path(scratch) / "token"
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(32))
            set_here = {"RAY_AUTH_TOKEN_PATH": str(path)}
        elif (Path.home() / TOKEN).exists():
            set_here = {"RAY_AUTH_MODE": "token"}
    elif "RAY_AUTH_MODE" not in os.environ and address is not None:
        set_here = {"RAY_AUTH_MODE": "token"}
    before = {name: os.environ.get(name) for name in AUTHENTICATION}
    os.environ.update(set_here)
    Config.initialize("")  # Ray has read RAY_AUTH_MODE when it was imported; it does so too
    try:
        yield
    finally:
        _restore(before)
        Config.initialize("")


@contextmanager
def _importable(address: str | None) -> Iterator[None]:
    """The workers of a Ray of our own find this program where it lies.

    They inherit the environment. By a runtime environment, each would start Python twice.
    """
    before = os.environ.get("PYTHONPATH")
    if address is None:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), before]))
    try:
        yield
    finally:
        _restore({"PYTHONPATH": before})


def _restore(environment: dict[str, str | None]) -> None:
    for name, value in environment.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def _code(address: str | None, scratch: Path, modules: Mapping[str, str]) -> dict[str, Any]:
    """The runtime environment: to the workers of a cluster, Ray sends a copy of this program.

    A driver that runs as a Ray job has sent its code already.
    """
    if address is None or "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        return {}
    copy = scratch / "code"
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, copy / package, ignore=ignored)
    own_modules.send(modules, copy)
    return {"working_dir": str(copy)}


def quiet() -> None:
    """The launch says what a user must know; the rest is in Ray's own log files."""
    for name in ("ray", "ray.tune", "ray.train", "ray.air", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="ray")

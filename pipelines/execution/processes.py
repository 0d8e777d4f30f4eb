"""Several processes that compute one trial: its own, which alone writes, and helpers.

Each helper runs the same trial from the same state, in step with the others wherever a batch is
spread (models/spread.py). It ends with the trial's own process, at the other end of a line; what
goes wrong in it comes back over that line.
"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Thread
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch.distributed import Store, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from pipelines import own_modules
from pipelines.data.task import prepare
from pipelines.execution.worker_config import WorkerConfig
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.progress import State
from pipelines.training.trial import run_trial

# With the trial's own sys.path, which modules of the user's own may be found by.
START = """
import sys
from multiprocessing.connection import Connection
line = Connection(int(sys.argv[1]))
sys.path[:] = line.recv()
from pipelines.execution.processes import help_with
help_with(line)
"""
HOST = "127.0.0.1"
READY = "ready"
LAST_WORD_SECONDS = 5.0  # for a helper that ends to say why


class Help(NamedTuple):
    """What a helper needs to know: which of how many processes it is, and the trial.

    port: where they find each other. state: from which the trial goes on, as `torch.save` has it.
    """

    number: int
    count: int
    port: int
    worker_config: WorkerConfig
    spec: TrainingSpec
    state: bytes


class ProcessLost(Exception):
    """A process of a trial ended without a word."""


@contextmanager
def processes(
    count: int, worker_config: WorkerConfig, spec: TrainingSpec, state: State | None
) -> Iterator[None]:
    """Inside, this process is the first of `count` that compute a trial; with one it is alone.

    Raises:
        ProcessLost: another one ended.
        Exception: what was raised in another one, in place of what that led to here.
    """
    if count == 1:
        yield
        return
    store = TCPStore(HOST, 0, is_master=True, wait_for_workers=False)
    saved = io.BytesIO()
    torch.save(state, saved)
    with ExitStack() as ended:
        others = [
            ended.enter_context(_helper()) for _ in range(1, count)
        ]  # load torch side by side
        for number, line in enumerate(others, 1):
            with suppress(OSError):  # it has ended, which is heard of next
                line.send(sys.path)
                line.send(Help(number, count, store.port, worker_config, spec, saved.getvalue()))
        for line in others:  # one that cannot join would be waited for long
            if isinstance(word := _word(line), Exception):
                raise word
        try:
            join(store, 0, count, worker_config.device)
            yield
        except Exception as error:
            cause = _cause(others) if _of_a_message(error) else None
            if cause is None:
                raise
            raise cause from error
        finally:
            ended.close()  # they may wait for this one, and so would the group's end for them
            if dist.is_initialized():
                dist.destroy_process_group()


@contextmanager
def _helper() -> Iterator[Connection]:
    """A process at the other end of the line, which waits for its work; it has ended afterwards."""
    here, there = Pipe()
    with here:
        with there:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, str(there.fileno())],
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
            )
        try:
            yield here
        finally:
            process.kill()
            process.wait()


def _cause(others: list[Connection]) -> Exception | None:
    """Why a message could not be passed: what the others say, or that one is gone."""
    words = [word for line in others if (word := _last_word(line)) is not None]
    return next((word for word in words if not _of_a_message(word)), None)


def _last_word(line: Connection) -> Exception | None:
    """What ended another process; None: nothing has."""
    word = _word(line) if line.poll(LAST_WORD_SECONDS) else None
    return word if isinstance(word, Exception) else None


def _word(line: Connection) -> object:
    """What another process says, or that it says nothing any more."""
    try:
        return line.recv()
    except (EOFError, OSError):
        return ProcessLost("one of the trial's processes ended")


def _of_a_message(error: Exception) -> bool:
    """Whether an error says no more than that a message could not be passed."""
    return type(error) is RuntimeError or isinstance(error, dist.DistError)


def join(store: Store, number: int, count: int, device: str) -> None:
    """Become one of the group's processes; each has a GPU of its own, or they share what is."""
    backend = "gloo"
    if device == "cuda":
        there = torch.cuda.device_count()
        torch.cuda.set_device(number % there)
        backend = "nccl" if there >= count else "gloo"  # which takes no two on one GPU
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # not what the host's name stands for
    dist.init_process_group(backend, store=store, rank=number, world_size=count)


def help_with(line: Connection) -> None:
    """Compute a trial's part, that comes over the line, to the end of the trial or of the line."""
    work: Help = line.recv()
    Thread(target=_end_with, args=[line], daemon=True).start()
    try:
        _compute(work, lambda: line.send(READY))
    except Exception as error:
        with suppress(OSError):
            line.send(_readable(error))


def _compute(work: Help, is_ready: Callable[[], None]) -> None:
    config, spec = work.worker_config, work.spec
    own_modules.search(config.modules.values())
    if spec.protocol.data == config.protocols[""].data:
        prepare(spec.protocol, spec.data_seed, config.fingerprint)
    store = TCPStore(HOST, work.port)
    is_ready()
    join(store, work.number, work.count, config.device)
    saved = io.BytesIO(work.state)
    state = torch.load(saved, map_location=config.device, weights_only=True)
    for _ in run_trial(spec, state, config.device, config.fast):
        pass


def _readable(error: Exception) -> Exception:
    """An error that the other end can read, or what it says."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # whatever a class of a user's own does with its arguments
        return RuntimeError(f"{type(error).__name__}: {error}")


def _end_with(line: Connection) -> None:
    """End this process with the other end of the line."""
    with suppress(OSError):
        line.poll(None)
    os._exit(1)

"""Work that two processes do together, as those of one trial do: this one, and another."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import get_context
from typing import TypeVar

import torch
import torch.distributed as dist

from pipelines.execution.processes import HOST, join

A = TypeVar("A")
T = TypeVar("T")
END_SECONDS = 60.0


def in_two(work: Callable[[A], T], argument: A) -> T:
    """What a function of a module gives here; the other process calls it, too."""
    store = dist.TCPStore(HOST, 0, is_master=True, wait_for_workers=False)
    other = get_context("spawn").Process(target=_other, args=(store.port, work, argument))
    other.start()
    try:
        join(store, 0, 2, "cpu")
        return work(argument)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        other.join(END_SECONDS)
        other.kill()


def _other(port: int, work: Callable[[A], object], argument: A) -> None:
    torch.set_num_threads(1)
    join(dist.TCPStore(HOST, port), 1, 2, "cpu")
    work(argument)

"""What records work on a device, to repeat it: CUDA graphs, where there is a GPU."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

import torch

T = TypeVar("T")


class Recorder(Protocol):
    """Records work on a device."""

    def on_capture_stream(self, work: Callable[[], T]) -> T:
        """Do the work where it would be recorded."""
        ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """What does the same work again. Here it is recorded, and not done."""
        ...

    def forget(self) -> None:
        """What was recorded is not used any more."""
        ...


class CudaGraphs:
    """Records on a stream of its own, all graphs in one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def on_capture_stream(self, work: Callable[[], T]) -> T:
        """Do the work on the stream of the recordings."""
        here = torch.cuda.current_stream()
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            result = work()
        here.wait_stream(self._stream)
        return result

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Capture the work; what replays it on the current stream."""
        graph, here = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                work()
        except BaseException:
            torch.cuda.set_stream(here)  # which a capture that fails may not have done
            self._end_allocating()
            raise
        return graph.replay

    def _end_allocating(self) -> None:
        """Tell the allocator that a capture is over which could not be ended.

        Else it would not free what it caches, to the end of the process.
        """
        with suppress(RuntimeError):  # it has been ended
            torch._C._cuda_endAllocateToPool(self._stream.device_index, self._pool)
            torch._C._cuda_releasePool(self._stream.device_index, self._pool)

    def forget(self) -> None:
        """New graphs have a pool of their own: something may still hold a tensor of the old one."""
        self._pool = torch.cuda.graph_pool_handle()


def recorder_for(device: torch.device) -> Recorder | None:
    """What records on that device; None where nothing does."""
    return CudaGraphs(device) if device.type == "cuda" else None

"""How many trials share a GPU: a probe proposes it, each trial keeps to its share, and it is halved
when memory ran out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from pipelines.errors import UserError
from pipelines.training import Trial

PROBE_STEPS = 3  # the second already has the optimizer's state in memory
SPARE = 1.15  # fragmentation, and evaluation on larger batches
CONTEXT_BYTES = 600 * 2**20  # what CUDA takes for each process beside its tensors
USABLE = 0.95  # of the device: the rest is the driver's and the desktop's


@dataclass(frozen=True)
class Packing:
    """trials that share one GPU, and the share of its memory that each may allocate."""

    trials: int
    memory: float

    @property
    def gpus(self) -> float:
        """What one trial asks of Ray, rounded down to the four digits that Ray knows."""
        return int(10_000 / self.trials) / 10_000


def pack(peak: int, total: int, cores: int) -> Packing:
    """As many trials on a GPU as its memory holds and as there are CPU cores to feed them.

    peak: bytes that one trial allocates at most; total: bytes of the GPU.

    Raises:
        UserError: not even one trial fits.
    """
    need = peak * SPARE + CONTEXT_BYTES
    fit = int(total * USABLE / need)
    if not fit:
        raise UserError(
            f"a trial needs {need / 2**30:.1f} GiB of GPU memory, the GPU has "
            f"{total / 2**30:.1f} GiB: use a smaller schedule.batch_size or meta.batch_size"
        )
    return _shared(max(1, min(fit, cores)), total)


def back_off(packing: Packing, total: int) -> Packing | None:
    """Half as many trials, after one ran out of memory; none where it already had the GPU."""
    return _shared(packing.trials // 2, total) if packing.trials > 1 else None


def _shared(trials: int, total: int) -> Packing:
    return Packing(trials, USABLE / trials - CONTEXT_BYTES / total)


def probe(
    specs: Iterable[dict[str, Any]],
    device: torch.device,
    peak_of: Callable[[dict[str, Any], torch.device], int] | None = None,
) -> int:
    """Bytes that the hungriest of these trials allocates in its first steps."""
    return max((peak_of or _peak)(spec, device) for spec in specs)


def _peak(spec: dict[str, Any], device: torch.device) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    for _ in islice(Trial(spec, device).steps(), PROBE_STEPS):
        pass
    return torch.cuda.max_memory_allocated(device)


def limit_memory(packing: Packing, device: torch.device) -> None:
    """Let this process allocate its share and no more: too much fails here, not next door."""
    torch.cuda.set_per_process_memory_fraction(packing.memory, device)

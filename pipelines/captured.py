"""Training steps recorded once and replayed: one CUDA graph in place of a thousand kernel launches.

Between two steps only a `Draw` changes, and tensors that stay where they are; so a recorded step
reads the present values. What it would freeze is found out before: the first steps run as ever, and
are watched. The first replay is compared with the same step taken the plain way from the same
state. What cannot be replayed runs the plain way to the end, and a warning says why.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from methods.objective import Batch, Key
from pipelines.sampling import Draw
from pipelines.snapshot import clone
from pipelines.watch import Watch, WatchedKey, plain_values

WARM_UP = 3  # steps of each kind before it is recorded: allocators, kernels and optimizers settle
TOLERANCE = 0.01  # of what a step changes
ELSEWHERE = "its state is not where it was; buffers change in place"
T = TypeVar("T")
Kind = tuple[int, bool]  # of step: examples, whether with a meta step
State = dict[str, list[Tensor]]  # what a step changes, by who owns it


class Taken(NamedTuple):
    """What a step leaves to look at, until the next one: logits [B, K], the gradient [B, K] of the
    mean loss in them, the batch."""

    logits: Tensor
    slope: Tensor
    batch: Batch


class Steps(Protocol):
    """Whose steps are recorded."""

    def take(self, draw: Draw, key: Key, meta: bool) -> Taken:
        """Take one step, on the device alone; meta: with a meta step."""
        ...

    def state(self) -> State:
        """The tensors that a step changes, in place."""
        ...

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Those that a step moves."""
        ...

    def modules(self) -> list[nn.Module]:
        """Those that a step calls."""
        ...


class Recorder(Protocol):
    """Records work on a device."""

    def aside(self, work: Callable[[], T]) -> T:
        """Do the work where it would be recorded."""
        ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """What does the same work again. Here it is recorded, and not done."""
        ...


class CudaGraphs:
    """Records on a stream of its own, all graphs in one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def aside(self, work: Callable[[], T]) -> T:
        """Do the work on the stream of the recordings."""
        here = torch.cuda.current_stream()
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            found = work()
        here.wait_stream(self._stream)
        return found

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Capture the work; what replays it on the current stream."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            work()
        return graph.replay


def recorder(device: torch.device) -> Recorder | None:
    """What records on that device; None where nothing does."""
    return CudaGraphs(device) if device.type == "cuda" else None


@dataclass(frozen=True)
class Recording:
    """A recorded step: where it reads its draw, what it leaves, how to repeat it."""

    draw: Draw
    taken: Taken
    replay: Callable[[], None]

    def __call__(self, draw: Draw) -> Taken:
        """Take the step."""
        for here, new in zip(_parts(self.draw), _parts(draw), strict=True):
            if here is not None and new is not None:
                here.copy_(new)
        self.replay()
        return self.taken


class CapturedSteps:
    """Takes steps: the first ones plainly, then by replaying them.

    Steps of another size, or without a meta step, are recorded on their own. Whose steps they are
    is given with each, since a cycle of references would keep the GPU's memory.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._seen: dict[Kind, list[Draw]] = {}
        self._recordings: dict[Kind, Recording] = {}
        self._places: list[int] = []
        self._values: dict[str, str] = {}
        #: Why steps are not replayed; None: they are.
        self.refused: str | None = None
        self.replayed = 0

    def begin_epoch(self, steps: Steps) -> None:
        """Whatever happened between epochs may have put a tensor elsewhere, or changed a number
        that is frozen in the recordings."""
        if self._recordings and _places(steps) != self._places:
            self._refuse(ELSEWHERE)
        if (values := plain_values(steps.modules())) != self._values:
            self._recordings.clear()
            self._values = values

    def __call__(self, steps: Steps, draw: Draw, key: Key, meta: bool) -> Taken:
        """Take a step."""
        kind = (len(draw.rows), meta)
        if self.refused is not None:
            return steps.take(draw, key, meta)
        if kind in self._recordings:
            self.replayed += 1
            return self._recordings[kind](draw)
        seen = self._seen.setdefault(kind, [])
        if len(seen) < WARM_UP:
            seen.append(draw)
            return self._watched(steps, draw, key, meta)
        return self._recorded(steps, draw, key, meta)

    def _watched(self, steps: Steps, draw: Draw, key: Key, meta: bool) -> Taken:
        """Take the step, and see whether it does anything that a recording would freeze."""
        watched, places, modules = WatchedKey(key), _places(steps), steps.modules()
        values = plain_values(modules)
        with Watch(draw.rows.device, modules) as watch:
            taken = self._recorder.aside(lambda: steps.take(draw, watched, meta))
        reasons = ["its method reads batch.key"] if watched.read else []
        reasons += watch.reasons
        changed = plain_values(modules).items() - values.items()
        reasons += [f"{name} changes at every step and is no buffer" for name, _ in changed]
        first = sum(map(len, self._seen.values())) == 1  # makes the optimizers' state
        if not first and places != _places(steps):
            reasons.append(ELSEWHERE)
        if reasons:
            self._refuse(reasons[0])
        return taken

    def _recorded(self, steps: Steps, draw: Draw, key: Key, meta: bool) -> Taken:
        """Record the step, take it, and see whether its replay does the same."""
        try:
            recording = self._record(steps, self._seen[len(draw.rows), meta][-1], meta)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._refuse(" ".join(str(error).split()))
            return steps.take(draw, key, meta)
        before = clone(steps.state())
        plain = self._recorder.aside(lambda: steps.take(draw, key, meta))
        after = clone(steps.state())
        _put(steps, before)
        taken = recording(draw)
        off = deviation(before, after, steps.state())
        if not off <= TOLERANCE:
            _put(steps, after)
            self._refuse(f"a replay is off by {off:.0%} of what the step changes")
            return plain
        self._recordings[len(draw.rows), meta] = recording
        self._places = _places(steps)
        return taken

    def _record(self, steps: Steps, earlier: Draw, meta: bool) -> Recording:
        """With the draw of an earlier step: were it frozen, the comparison would tell."""
        draw, taken = Draw(*clone(_parts(earlier))), []
        groups = [group for optimizer in steps.optimizers() for group in optimizer.param_groups]
        for group in groups:
            group["capturable"] = True  # what is fused is; Adam asks for the word
        try:
            replay = self._recorder.record(lambda: taken.append(steps.take(draw, (), meta)))
        finally:
            for group in groups:
                group["capturable"] = False
        return Recording(draw, taken[0], replay)

    def _refuse(self, reason: str) -> None:
        self.refused = reason
        self._recordings.clear()
        warnings.warn(
            f"this trial's steps are not replayed as a CUDA graph: {reason}", stacklevel=4
        )


@torch.no_grad()
def deviation(before: State, plain: State, replayed: State) -> float:
    """Distance of two ways to take a step, as a share of what the step changes: the largest of all
    owners'."""
    shares = []
    for name, start in before.items():
        off = [(r - p).double().norm() for r, p in zip(replayed[name], plain[name], strict=True)]
        moved = [(p - s).double().norm() for p, s in zip(plain[name], start, strict=True)]
        if off:
            shares.append(torch.stack(off).norm() / torch.stack(moved).norm().clamp_min(1e-30))
    return float(torch.stack(shares).max())


def _parts(draw: Draw) -> list[Tensor | None]:
    return list(vars(draw).values())


def _places(steps: Steps) -> list[int]:
    return [tensor.data_ptr() for tensors in steps.state().values() for tensor in tensors]


@torch.no_grad()
def _put(steps: Steps, values: State) -> None:
    for name, tensors in steps.state().items():
        for tensor, value in zip(tensors, values[name], strict=True):
            tensor.copy_(value)

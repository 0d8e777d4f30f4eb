"""Training steps recorded once and replayed: one CUDA graph in place of a thousand kernel launches.

Between two steps only its `StepInputs` change, and tensors that stay where they are; so a recorded
step reads the present values. What it would freeze is found out before: the first steps run as
ever, and are watched. The first replay is compared with the same step taken the plain way from the
same state. What cannot be replayed runs the plain way to the end, and a warning says why.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from methods.objective import Batch, Key
from pipelines.training.capture_checks import (
    ReadRecordingKey,
    Watch,
    contents,
    differences,
    tensor_attributes,
    unseen,
)
from pipelines.training.recorder import Recorder
from pipelines.training.snapshot import clone
from pipelines.training.step_inputs import StepInputs

WARM_UP = 3  # steps of each kind before it is recorded: allocators, kernels and optimizers settle
#: Of what a step changes, by precision: where products are rounded, other kernels round otherwise.
TOLERANCE = {"float32": 0.01, "tfloat32": 0.05, "bfloat16": 0.05}
ELSEWHERE = "its state is not where it was; buffers change in place"
NO_MEMORY = "there is not enough memory for a recording beside the steps"
Kind = tuple[int, bool]  # of step: examples, whether with a meta step
Attributes = dict[str, tuple[nn.Module, str, Tensor]]
State = dict[str, list[Tensor]]  # what a step changes, by who owns it


class StepOutput(NamedTuple):
    """What a step leaves to look at, until the next one.

    logits [B, K] of each network; logit_grads [B, K]: of the mean loss in them; the batch.
    """

    logits: list[Tensor]
    logit_grads: list[Tensor]
    batch: Batch


class Steps(Protocol):
    """Whose steps are recorded."""

    def run_step(self, step_inputs: StepInputs, key: Key, meta: bool) -> StepOutput:
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


@dataclass(frozen=True)
class Recording:
    """A recorded step: where it reads its inputs, what it leaves, and how to repeat it.

    attributes: what it leaves as attributes of modules.
    """

    step_inputs: StepInputs
    step_output: StepOutput
    attributes: Attributes
    replay: Callable[[], None]

    def __call__(self, step_inputs: StepInputs) -> StepOutput:
        """Take the step."""
        for here, new in zip(_parts(self.step_inputs), _parts(step_inputs), strict=True):
            if here is not None and new is not None:
                here.copy_(new)
        self.replay()
        _set(self.attributes)
        return self.step_output


class CapturedSteps:
    """Takes steps: the first ones plainly, then by replaying them.

    Steps of another size, or without a meta step, are recorded on their own. Whose steps they are
    is given with each, since a cycle of references would keep the GPU's memory.
    """

    def __init__(self, recorder: Recorder, precision: str = "float32") -> None:
        self._recorder, self._tolerance = recorder, TOLERANCE[precision]
        self._seen: dict[Kind, list[StepInputs]] = {}
        self._recordings: dict[Kind, Recording] = {}
        self._data_pointers: list[int] = []
        self._values: dict[str, Any] = {}
        self._fresh: set[str] = set()  # tensors that each step makes anew
        #: Why steps are not replayed; None: they are.
        self.fallback_reason: str | None = None
        self.replayed = 0

    def begin_epoch(self, steps: Steps) -> None:
        """Watch and record steps anew if what is frozen in the recordings has changed.

        Whatever happened between epochs may also have put a tensor elsewhere.
        """
        if self._recordings and _data_pointers(steps) != self._data_pointers:
            self._refuse(ELSEWHERE)
        values = contents(steps.modules())
        if differences(values, self._values) - self._fresh:
            self._forget()
        self._values = values

    def __call__(self, steps: Steps, step_inputs: StepInputs, key: Key, meta: bool) -> StepOutput:
        """Take a step."""
        kind = (len(step_inputs.rows), meta)
        if self.fallback_reason is not None:
            return steps.run_step(step_inputs, key, meta)
        if kind in self._recordings:
            self.replayed += 1
            return self._recordings[kind](step_inputs)
        seen = self._seen.setdefault(kind, [])
        if len(seen) < WARM_UP:
            seen.append(step_inputs)
            return self._watched(steps, step_inputs, key, meta)
        return self._recorded(steps, step_inputs, key, meta)

    def _watched(self, steps: Steps, step_inputs: StepInputs, key: Key, meta: bool) -> StepOutput:
        """Take the step, and see whether it does anything that a recording would freeze."""
        watched, data_pointers, modules = (
            ReadRecordingKey(key),
            _data_pointers(steps),
            steps.modules(),
        )
        before = contents(modules)
        tensors = {name: value for name, value in before.items() if isinstance(value, Tensor)}
        versions = {name: tensor._version for name, tensor in tensors.items()}
        with Watch(step_inputs.rows.device, tensors) as watch:
            step_output = self._recorder.on_capture_stream(
                lambda: steps.run_step(step_inputs, watched, meta)
            )
        changed = differences(before, contents(modules))
        written = {name for name in watch.touched if tensors[name]._version != versions[name]}
        fresh = changed & tensor_attributes(modules).keys() - watch.touched
        self._fresh |= fresh
        reasons = ["its method reads batch.key"] if watched.read else []
        reasons += watch.reasons
        reasons += [f"{name} may change unseen" for name in unseen(before)]
        reasons += [
            f"{name} changes at every step and is no buffer"
            for name in sorted(changed - fresh | written)
        ]
        first = sum(map(len, self._seen.values())) == 1  # makes the optimizers' state
        if not first and data_pointers != _data_pointers(steps):
            reasons.append(ELSEWHERE)
        if reasons:
            self._refuse(reasons[0])
        return step_output

    def _recorded(self, steps: Steps, step_inputs: StepInputs, key: Key, meta: bool) -> StepOutput:
        """Take the step, record it, and see whether a replay from where it began does the same."""
        before = self._copied(steps)
        if before is None:
            return steps.run_step(step_inputs, key, meta)
        plain = self._recorder.on_capture_stream(lambda: steps.run_step(step_inputs, key, meta))
        after, held = self._copied(steps), tensor_attributes(steps.modules())
        if after is None:
            return plain
        _put(steps, before)
        try:
            recording = self._record(steps, self._seen[len(step_inputs.rows), meta][-1], meta)
            step_output = recording(step_inputs)
            off = deviation(before, after, steps.state())
            reason = None if off <= self._tolerance else f"a replay is off by {off:.0%} of its step"
        except torch.OutOfMemoryError:
            reason = NO_MEMORY
        except RuntimeError as error:
            reason = " ".join(str(error.__context__ or error).split())
        if reason is None:
            self._recordings[len(step_inputs.rows), meta] = recording
            self._data_pointers = _data_pointers(steps)
            return step_output
        _put(steps, after)
        _set(held)
        self._refuse(reason)
        return plain

    def _copied(self, steps: Steps) -> State | None:
        """What the steps change, as it is now; without the memory for it, nothing is recorded."""
        try:
            return clone(steps.state())
        except torch.OutOfMemoryError:
            self._refuse(NO_MEMORY)
            return None

    def _record(self, steps: Steps, earlier: StepInputs, meta: bool) -> Recording:
        """With the inputs of an earlier step: were it frozen, the comparison would tell."""
        step_inputs, step_output = StepInputs(*clone(_parts(earlier))), []
        groups = [group for optimizer in steps.optimizers() for group in optimizer.param_groups]
        asked = [group for group in groups if "capturable" in group]  # Adam: it is, if it is fused
        for group in asked:
            group["capturable"] = True
        try:
            replay = self._recorder.record(
                lambda: step_output.append(steps.run_step(step_inputs, (), meta))
            )
        finally:
            for group in asked:
                group["capturable"] = False
        return Recording(step_inputs, step_output[0], tensor_attributes(steps.modules()), replay)

    def _forget(self) -> None:
        self._recordings.clear()
        self._seen.clear()
        self._recorder.forget()

    def _refuse(self, reason: str) -> None:
        self.fallback_reason = reason
        self._forget()
        warnings.warn(
            f"this trial's steps are not replayed as a CUDA graph: {reason}", stacklevel=4
        )


@torch.no_grad()
def deviation(before: State, plain: State, replayed: State) -> float:
    """Distance of two ways to take a step, as a share of what the step changes.

    The largest of all owners'.
    """
    shares = []
    for name, start in before.items():
        off = [_distance(r, p) for r, p in zip(replayed[name], plain[name], strict=True)]
        moved = [_distance(p, s) for p, s in zip(plain[name], start, strict=True)]
        if off:
            shares.append(torch.stack(off).norm() / torch.stack(moved).norm().clamp_min(1e-30))
    return float(torch.stack(shares).max())


def _distance(one: Tensor, other: Tensor) -> Tensor:
    """Also where both are infinite, or not a number."""
    a, b = one.double(), other.double()
    same = (a == b) | (a.isnan() & b.isnan())
    return torch.where(same, 0.0, a - b).norm()


def _set(attributes: Attributes) -> None:
    for module, name, tensor in attributes.values():
        setattr(module, name, tensor)


def _parts(step_inputs: StepInputs) -> list[Tensor | None]:
    return [getattr(step_inputs, field.name) for field in fields(StepInputs)]


def _data_pointers(steps: Steps) -> list[int]:
    return [tensor.data_ptr() for tensors in steps.state().values() for tensor in tensors]


@torch.no_grad()
def _put(steps: Steps, values: State) -> None:
    for name, tensors in steps.state().items():
        for tensor, value in zip(tensors, values[name], strict=True):
            tensor.copy_(value)

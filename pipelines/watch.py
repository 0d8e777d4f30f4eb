"""What a training step does that a recording of it would freeze, or that waits for the device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
INDEXING = {"index", "index_put", "index_put_"}


class Watch(TorchDispatchMode):
    """Looks at every operator that runs inside. reasons: what speaks against a recording.

    owners: modules whose tensors are parameters and buffers, or made anew at every step.
    """

    def __init__(self, device: torch.device, owners: list[nn.Module] | None = None) -> None:
        super().__init__()
        self._device = device
        # Kept, so that nothing new comes to lie where they were.
        self._kept = [(name, t) for name, t in _attributes(owners or []) if _is_tensor(t)]
        self._hidden = {_place(tensor): name for name, tensor in self._kept}
        self.reasons: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator."""
        name, tensors = func.overloadpacket.__name__, _tensors((args, kwargs))
        if _waits(func, name, args):
            self.reasons.append(f"{name} waits for the device")
        elif torch.Tag.nondeterministic_seeded in func.tags:
            self.reasons.append(f"{name} draws random numbers")
        elif self._device.type != "cpu" and any(_from_host(name, t) for t in tensors):
            self.reasons.append(f"{name} reads the host's memory")
        self.reasons += [
            f"{self._hidden[_place(t)]} outlives the step and is no buffer"
            for t in tensors
            if _place(t) in self._hidden
        ]
        return func(*args, **(kwargs or {}))


def _waits(func: Any, name: str, args: Any) -> bool:
    """Whether the host needs values from the device to go on, be it for a shape."""
    if name in INDEXING:  # only masks have to be counted
        return any(t.dtype in (torch.bool, torch.uint8) for t in _tensors(args[1]))
    return bool(WAITS & set(func.tags))


def _from_host(name: str, tensor: Tensor) -> bool:
    """Scalars are passed with the call, unless they are copied."""
    return tensor.device.type == "cpu" and (tensor.dim() > 0 or name in ("copy_", "_to_copy"))


def plain_values(owners: list[nn.Module]) -> dict[str, str]:
    """What modules hold beside tensors and other modules, by name."""
    return {name: repr(v) for name, v in _attributes(owners) if not _is_tensor(v)}


def _attributes(owners: list[nn.Module]) -> Iterator[tuple[str, Any]]:
    for owner in owners:
        for path, module in owner.named_modules(prefix=type(owner).__name__):
            found = {n: v for n, v in vars(module).items() if not n.startswith("_")}
            yield from ((f"{path}.{name}", value) for name, value in found.items())


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _place(tensor: Tensor) -> int:
    """Zeros that only autograd knows of have no memory."""
    return 0 if tensor._is_zerotensor() else tensor.untyped_storage().data_ptr()


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if _is_tensor(leaf)]


class WatchedKey(tuple[int | str, ...]):
    """A step's key. read: whether anybody has looked at its parts."""

    read = False

    def __iter__(self) -> Iterator[int | str]:
        self.read = True
        return super().__iter__()

    def __getitem__(self, place: Any) -> Any:
        """One part, or some."""
        self.read = True
        return super().__getitem__(place)

"""What a training step does that a recording of it would freeze, or that waits for the device."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from inspect import isroutine
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
INDEXING = {"index", "index_put", "index_put_"}
COPIES = {"copy_", "_to_copy", "lift_fresh"}
PLAIN = (bool, int, float, complex, str, bytes, frozenset, type(None), torch.dtype)
#: Draw or go on without a sign of it.
CHANGING = (random.Random, np.random.Generator, np.random.RandomState, Iterator)
MISSING = object()
OWN = set(vars(nn.Module())) - {"training"}  # what every module has of torch


class Watch(TorchDispatchMode):
    """Looks at every operator that runs inside.

    reasons: what speaks against a recording; touched: names of those tensors that operators took.
    """

    def __init__(self, device: torch.device, tensors: dict[str, Tensor] | None = None) -> None:
        super().__init__()
        self._device = device
        self._names = {
            _storage_of(t): name for name, t in (tensors or {}).items() if _storage_of(t)
        }
        self.reasons: list[str] = []
        self.touched: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator."""
        name, given = func.overloadpacket.__name__, _tensors((args, kwargs))
        result = func(*args, **(kwargs or {}))
        if _waits(func, name, args):
            self.reasons.append(f"{name} waits for the device")
        elif _draws(func, args):
            self.reasons.append(f"{name} draws random numbers")
        elif self._device.type != "cpu" and any(
            _on_host(name, t) for t in given + _tensors(result)
        ):
            self.reasons.append(f"{name} copies to or from the host's memory")
        self.touched |= {
            self._names[_storage_of(t)] for t in given if _storage_of(t) in self._names
        }
        return result


def _waits(func: Any, name: str, args: Any) -> bool:
    """Whether the host needs values from the device to go on, be it for a shape."""
    if name in INDEXING:  # only masks have to be counted
        return any(t.dtype in (torch.bool, torch.uint8) for t in _tensors(args[1]))
    return bool(WAITS & set(func.tags))


def _draws(func: Any, args: Any) -> bool:
    """Whether it takes random numbers; attention does for its dropout alone."""
    names = [argument.name for argument in func._schema.arguments]
    place = names.index("dropout_p") if "dropout_p" in names else None
    without = place is not None and (place >= len(args) or args[place] == 0)
    return torch.Tag.nondeterministic_seeded in func.tags and not without


def _on_host(name: str, tensor: Tensor) -> bool:
    """Scalars are passed with the call, unless they are copied. `torch.tensor` copies unseen."""
    if name == "lift_fresh":
        return True
    return tensor.device.type == "cpu" and (tensor.dim() > 0 or name in COPIES)


def _storage_of(tensor: Tensor) -> int:
    """Zeros that only autograd knows of have no memory; nor has what is empty."""
    return 0 if tensor._is_zerotensor() else tensor.untyped_storage().data_ptr()


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def contents(owners: list[nn.Module]) -> dict[str, Any]:
    """What modules hold beside parameters, buffers and other modules, by name.

    Tensors, plain values and what cannot be looked into, through containers and objects.
    """
    values: dict[str, Any] = {}
    for name, _, _, value in _attributes(owners):
        _walk(name, value, values, frozenset())
    for name, value in _of_classes(owners):
        _walk(name, value, values, frozenset())
    return values


def unseen(values: dict[str, Any]) -> list[str]:
    """Names of those contents that may change without it being seen."""
    return [name for name, value in values.items() if isinstance(value, CHANGING)]


def differences(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    """Names under which two contents hold different values, or not the same objects."""
    names = one.keys() | other.keys()
    return {n for n in names if not _same(one.get(n, MISSING), other.get(n, MISSING))}


def tensor_attributes(owners: list[nn.Module]) -> dict[str, tuple[nn.Module, str, Tensor]]:
    """Tensors that modules hold by an attribute, neither parameters nor buffers."""
    return {
        name: (module, attribute, value)
        for name, module, attribute, value in _attributes(owners)
        if isinstance(value, Tensor)
    }


def _attributes(owners: list[nn.Module]) -> Iterator[tuple[str, nn.Module, str, Any]]:
    for owner in owners:
        for path, module in owner.named_modules(prefix=type(owner).__name__):
            for name, value in vars(module).items():
                if name not in OWN:
                    yield f"{path}.{name}", module, name, value


def _of_classes(owners: list[nn.Module]) -> Iterator[tuple[str, Any]]:
    """What the modules' classes hold, those that are not of torch."""
    kinds = {type(module) for owner in owners for module in owner.modules()}
    bases = {base for kind in kinds for base in kind.__mro__ if issubclass(base, nn.Module)}
    for base in bases:
        if not base.__module__.startswith("torch."):
            for name, value in vars(base).items():
                if isinstance(value, (list, dict, set, *PLAIN)) and not name.startswith("__"):
                    yield f"class {base.__qualname__}.{name}", value


def _walk(name: str, value: Any, values: dict[str, Any], above: frozenset[int]) -> None:
    parts = None if id(value) in above else _parts(value)
    if parts is None:
        values[name] = _frozen(value)
        return
    for part, inner in parts:
        _walk(f"{name}.{part}", inner, values, above | {id(value)})


def _frozen(value: Any) -> Any:
    """What changes in place is compared by what it holds now."""
    if isinstance(value, np.ndarray | bytearray):
        return bytes(value)
    return frozenset(value) if isinstance(value, set) else value


def _parts(value: Any) -> list[tuple[Any, Any]] | None:
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list | tuple | deque):
        return list(enumerate(value))
    if isinstance(value, (Tensor, type, set, *PLAIN)) or isroutine(value):
        return None
    return list(vars(value).items()) if hasattr(value, "__dict__") else None


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, PLAIN) and type(one) is type(other) and one == other)


class ReadRecordingKey(tuple[int | str, ...]):
    """A step's key. read: whether anybody has looked at its parts.

    A tuple has no hook for that, so every way to its parts is written out.
    """

    read = False

    def _parts(self) -> tuple[int | str, ...]:
        self.read = True
        return tuple(tuple.__iter__(self))

    def __iter__(self) -> Iterator[int | str]:
        return iter(self._parts())

    def __getitem__(self, index: Any) -> Any:
        return self._parts()[index]

    def __contains__(self, part: object) -> bool:
        return part in self._parts()

    def __add__(self, other: Any) -> Any:
        return self._parts() + other

    def __radd__(self, other: Any) -> Any:
        return other + self._parts()

    def __mul__(self, times: Any) -> Any:
        return self._parts() * times

    def __rmul__(self, times: Any) -> Any:
        return times * self._parts()

    def __repr__(self) -> str:
        return repr(self._parts())

    def __hash__(self) -> int:
        return hash(self._parts())

    def __eq__(self, other: object) -> bool:
        return self._parts() == other

    def __ne__(self, other: object) -> bool:
        return self._parts() != other

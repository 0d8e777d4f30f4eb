"""A recorder for the CPU that keeps a CUDA graph's contract.

The same operators on the same memory, whatever Python would do by now. Recording leaves no trace;
only a replay does the work.
"""

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Operators(TorchDispatchMode):
    """Every operator that runs inside, with its tensors; and those it found, as they were."""

    def __init__(self):
        super().__init__()
        self.calls, self._made, self._found = [], set(), {}
        self.written = set()  # storages that were there before

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for tensor in tensors((args, kwargs)):
            place = tensor.untyped_storage().data_ptr()
            if place not in self._made and place not in self._found:
                storage = tensor.untyped_storage()
                self._found[place] = storage, storage.clone()
        self.written |= {
            tensor.untyped_storage().data_ptr()
            for argument, value in zip(func._schema.arguments, args, strict=False)
            if argument.alias_info is not None and argument.alias_info.is_write
            for tensor in tensors(value)
        } - self._made
        out = func(*args, **kwargs)
        known = self._found.keys()
        self._made |= {t.untyped_storage().data_ptr() for t in tensors(out)} - known
        self.calls.append((func, args, kwargs, out))
        return out

    def undo(self):
        for storage, before in self._found.values():
            storage.copy_(before)

    def replay(self):
        with torch._C._AutoDispatchBelowAutograd():
            for func, args, kwargs, out in self.calls:
                again = func(*args, **kwargs)
                for here, new in zip(tensors(out), tensors(again), strict=True):
                    if here.data_ptr() != new.data_ptr():
                        here.copy_(new)


class CpuRecorder:
    def __init__(self):
        self.recorded = []

    def on_capture_stream(self, work):
        return work()

    def record(self, work):
        with Operators() as operators:
            work()
        operators.undo()
        self.recorded.append(operators)
        return operators.replay

    def forget(self):
        self.recorded.clear()


def tensors(value):
    """Those that have memory: a zero that autograd only knows of has none."""
    found = [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return [tensor for tensor in found if not tensor._is_zerotensor()]

"""The layers of a network that somebody else has written, from its inputs to its head."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def layers_of(model: nn.Module) -> list[list[str]]:
    """Names of a model's parameters by layer, in the order in which the model defines them.

    A layer is one of the blocks that a model repeats (of residual or attention layers), or what
    stands between such; what has no matrix, a norm, belongs to the layer before it. Parameters of
    the model itself (a class token) are of the first layer.
    """
    named = dict(model.named_parameters())
    layers: list[list[str]] = []
    for prefix in _blocks(model, ""):
        own = [name for name in named if name.startswith(prefix)]
        if layers and all(named[name].dim() < 2 for name in own):
            layers[-1] += own
        elif own:
            layers.append(own)
    known = {name for layer in layers for name in layer}
    first = [name for name in named if name not in known]
    return [first + layers[0], *layers[1:]] if layers else [first]


def _blocks(module: nn.Module, path: str) -> Iterator[str]:
    for name, child in module.named_children():
        if type(child) in CONTAINERS or any(map(_repeats, child.modules())):
            yield from _blocks(child, f"{path}{name}.")
        else:
            yield f"{path}{name}."


def _repeats(module: nn.Module) -> bool:
    """Whether it is a row of blocks of one kind: not of convolutions with their norms."""
    kinds = [type(child) for child in module.children() if any(True for _ in child.parameters())]
    alike = len(kinds) > 1 and len(set(kinds)) == 1
    return isinstance(module, CONTAINERS) and alike and not issubclass(kinds[0], nn.Sequential)

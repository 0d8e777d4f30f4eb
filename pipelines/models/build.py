"""From a study's `model` to a network, freshly initialised.

A network of the user's own is named by the dotted path of a factory. Meta-learned arms call it at
other parameters (torch.func.functional_call) and differentiate it by forward mode; so what is
wrapped around a plain module is taken off, and lazy layers get their shapes at once.
"""

from __future__ import annotations

import inspect

import torch
from pydantic import ValidationError
from torch import nn
from torch.nn.parameter import is_lazy

from methods.objective import seed_of
from pipelines import own_modules
from pipelines.errors import UserError, one_line
from pipelines.models.heads import Ensemble
from pipelines.models.pretrained import pretrained
from pipelines.models.zoo import MODELS, Shape
from pipelines.study.pretrained import PRETRAINED, pretrained_options
from pipelines.study.protocol import Model
from pipelines.study.validation import describe

PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def build(model: Model, input_shape: Shape, classes: int, weights: bool = True) -> nn.Module:
    """The network that a study names, freshly initialised from torch's global generator.

    weights: False where all will be others at once: then those of a pretrained one are not loaded.

    Raises:
        UserError: unknown name or option, a value that is not allowed, an image network on a table.
    """
    if ":" in model.name:
        return _build_own(model, input_shape, classes)
    if model.name == PRETRAINED:
        return unwrapped(
            pretrained(pretrained_options(model.options), input_shape, classes, weights)
        )
    if model.name not in MODELS:
        raise UserError(
            f"model.name = {model.name!r}: allowed are {', '.join(MODELS)}, {PRETRAINED}, "
            "package.module:factory"
        )
    factory = MODELS[model.name]
    allowed = list(inspect.signature(factory).parameters)[2:]
    if unknown := sorted(set(model.options) - set(allowed)):
        raise UserError(
            f"model.options: {model.name} has no option {unknown[0]!r}; "
            f"allowed: {', '.join(allowed) or 'none'}"
        )
    if len(input_shape) != 3 and model.name != "mlp":
        raise UserError(
            f"model.name = {model.name!r}: is for images, the inputs are {input_shape}; use mlp"
        )
    try:
        return factory(input_shape, classes, **model.options)
    except ValidationError as error:
        raise UserError(describe(error, within="model.options")) from None
    except (RuntimeError, MemoryError) as error:  # more weights than there is memory for
        raise UserError(f"model.options of {model.name}: {one_line(error)}") from None


def build_networks(
    model: Model, input_shape: Shape, classes: int, networks: int, key: tuple[int | str, ...]
) -> nn.Module:
    """One network, or several side by side; each with weights of its own seed, by the key.

    Raises:
        UserError: as `build`.
    """
    members = []
    for number in range(networks):
        own = (*key, number) if number else key
        torch.default_generator.manual_seed(seed_of(*own))
        members.append(build(model, input_shape, classes))
    return members[0] if networks == 1 else Ensemble(members)


def _build_own(model: Model, input_shape: Shape, classes: int) -> nn.Module:
    factory = own_modules.load(model.name, "model.name =")
    try:
        inspect.signature(factory).bind(input_shape=input_shape, classes=classes, **model.options)
    except (TypeError, ValueError) as error:  # ValueError: of what is built in
        raise UserError(
            f"model.options: {model.name} called with input_shape, classes: {error}"
        ) from None
    try:
        network = factory(input_shape=input_shape, classes=classes, **model.options)
    except UserError:
        raise
    except Exception as error:  # whatever a user's own code raises
        raise UserError(
            f"model.name = {model.name!r}: fails with {type(error).__name__}: {one_line(error)}"
        ) from error
    if not isinstance(network, nn.Module):
        raise UserError(
            f"model.name = {model.name!r}: must return a torch.nn.Module, "
            f"not {type(network).__name__}"
        )
    network = unwrapped(network)
    _give_shapes(model.name, network, input_shape)
    return network


def unwrapped(module: nn.Module) -> nn.Module:
    """The module without DataParallel and torch.compile around it, or around its parts.

    A trial runs on one device, where they change no result but for rounding; and neither lets
    itself be called at other parameters.
    """
    while inner := module.module if isinstance(module, PARALLEL) else _compiled(module):
        module = inner
    for name, child in module.named_children():
        if (plain := unwrapped(child)) is not child:
            setattr(module, name, plain)
    if module._compiled_call_impl is not None:  # by `module.compile()`
        module._compiled_call_impl = None
    return module


def _compiled(module: nn.Module) -> nn.Module | None:
    """What torch.compile's wrapper holds; its class takes a second to import."""
    inner = getattr(module, "_orig_mod", None)
    return inner if isinstance(inner, nn.Module) else None


def _give_shapes(name: str, network: nn.Module, input_shape: Shape) -> None:
    """Lazy layers are initialised by the first forward: before anything looks at parameters."""
    if not any(map(is_lazy, [*network.parameters(), *network.buffers()])):
        return
    network.eval()  # BatchNorm's statistics stay, and nothing is drawn but the weights
    try:
        with torch.no_grad():
            network(torch.zeros(2, *input_shape))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"model {name!r} fails on input {(2, *input_shape)}: {reason}") from None
    network.train()

"""Networks that somebody has trained, with a head for the classes of a study."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pipelines import own_modules
from pipelines.errors import UserError, one_line
from pipelines.models.heads import last_linear
from pipelines.models.layers import layers_of
from pipelines.models.zoo import Shape
from pipelines.study.own_folders import as_loaded
from pipelines.study.pretrained import Colours, PretrainedOptions

#: Of ImageNet's images between 0 and 1: what torchvision's networks were trained with.
IMAGENET: tuple[Colours, Colours] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def pretrained(
    options: PretrainedOptions, input_shape: Shape, classes: int, weights: bool = True
) -> Pretrained:
    """The network with its published weights and a new head, from torch's global generator.

    Its inputs are images between 0 and 1, or numbers of tokens (`data.encoder`). weights: False
    where all of them will be others at once, so that nothing has to be loaded.

    Raises:
        UserError: it is for other inputs, cannot be loaded, or has fewer layers than are asked for.
    """
    texts = options.library == "transformers"
    if not texts and (len(input_shape) != 3 or input_shape[0] not in (1, 3)):
        raise UserError(
            f"model.name = 'pretrained': {options.library} is for grey or colour images, the "
            f"inputs are {input_shape}"
        )
    name = getattr(options, options.library)
    try:
        loaded = as_loaded(options.library, name)
        network, own = LOADERS[options.library](loaded, classes, options.dropout, weights)
    except UserError:
        raise
    except ModuleNotFoundError as error:
        if error.name != options.library:
            raise
        raise UserError(
            f"model.options: {error.name} is not installed: pip install {error.name}"
        ) from None
    except Exception as error:  # no such network, or none can be downloaded
        raise UserError(
            f"model.options.{options.library} = {name!r}: cannot be loaded: "
            f"{type(error).__name__}: {one_line(error)}"
        ) from None
    mean, std = options.mean or own[0], options.std or own[1]
    prepare = nn.Identity() if texts else Images(options.size, mean, std)
    return Pretrained(prepare, network, options.last_layers, options.layer_decay)


class Pretrained(nn.Module):
    """A trained network behind what its inputs need; its first layers may stay as they are.

    last_layers: how many are trained, none: all. The others keep their weights and, in eval mode,
    the statistics of their norms. layer_decay: a layer's learning rate over that of the next one.
    """

    def __init__(
        self, prepare: nn.Module, network: nn.Module, last_layers: int | None, layer_decay: float
    ) -> None:
        super().__init__()
        self.prepare, self.network = prepare, network
        self.layers, self.layer_decay = layers_of(network), layer_decay
        if (last_layers or 1) > len(self.layers):
            raise UserError(
                f"model.options.last_layers = {last_layers}: the network has {len(self.layers)}"
            )
        kept = self.layers[: len(self.layers) - last_layers] if last_layers else []
        for name in (name for layer in kept for name in layer):
            network.get_parameter(name).requires_grad_(False)

    def forward(self, x: Tensor) -> object:
        """Logits [B, K], or what has them."""
        return self.network(self.prepare(x))

    def train(self, mode: bool = True) -> Pretrained:
        """As of any module; but what is not trained stays in eval mode."""
        super().train(mode)
        for module in self.network.modules():
            parameters = [*module.parameters()]
            if parameters and not any(p.requires_grad for p in parameters):
                module.eval()
        return self

    def rate_factors(self) -> dict[str, float]:
        """By name of a parameter, what its learning rate is multiplied by; 1 of all others."""
        if self.layer_decay == 1:
            return {}
        deepest = len(self.layers) - 1
        return {
            f"network.{name}": self.layer_decay ** (deepest - number)
            for number, layer in enumerate(self.layers)
            for name in layer
            if number < deepest
        }


class Images(nn.Module):
    """Images [B, C, H, W] between 0 and 1 as a network takes them: colours, size, normalisation."""

    def __init__(self, size: int | None, mean: Colours, std: Colours) -> None:
        super().__init__()
        self.size = size
        self.mean, self.std = (nn.Buffer(torch.tensor(t).view(-1, 1, 1)) for t in (mean, std))

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W]; grey ones get three equal colours."""
        x = x.expand(-1, 3, -1, -1)
        if self.size is not None:
            x = interpolate(x, (self.size, self.size), mode="bilinear", antialias=True)
        return (x - self.mean) / self.std


class OfTexts(nn.Module):
    """The mean of an encoder's states over a text's tokens, dropout, and a linear head.

    Inputs [B, L] are numbers of tokens from 1, 0 behind a text's end, as `data.encoder` gives them.
    """

    def __init__(self, encoder: nn.Module, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.encoder, self.dropout = encoder, nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, K]."""
        there = x > 0
        longest = max(1, int(there.sum(dim=1).max()))
        ids, there = (x[:, :longest] - 1).clamp_min(0).long(), there[:, :longest]
        states = self.encoder(input_ids=ids, attention_mask=there.long()).last_hidden_state
        shares = there.to(states) / there.sum(dim=1, keepdim=True).clamp_min(1)
        return self.head(self.dropout((shares[:, :, None] * states).sum(dim=1)))


Loaded = tuple[nn.Module, tuple[Colours, Colours]]  # with the mean and deviation of its inputs


def _torchvision(name: str, classes: int, dropout: float, weights: bool) -> Loaded:
    from torchvision.models import get_model

    network = get_model(name, weights="DEFAULT" if weights else None)
    return _with_head(network, classes, dropout), IMAGENET


def _timm(name: str, classes: int, dropout: float, weights: bool) -> Loaded:
    timm = import_module("timm")
    network = timm.create_model(
        name, pretrained=weights, num_classes=classes, drop_rate=dropout, scriptable=False
    )
    config = timm.data.resolve_model_data_config(network)
    return network, (config["mean"], config["std"])


def _transformers(name: str, classes: int, dropout: float, weights: bool) -> Loaded:
    transformers = import_module("transformers")
    if weights:
        encoder = transformers.AutoModel.from_pretrained(name, dtype=torch.float32)
    else:
        encoder = transformers.AutoModel.from_config(transformers.AutoConfig.from_pretrained(name))
    if hasattr(encoder, "pooler"):
        encoder.pooler = None  # of the first token alone, which this does not look at
    return OfTexts(encoder, encoder.config.hidden_size, classes, dropout), IMAGENET


def _own(name: str, classes: int, dropout: float, weights: bool) -> Loaded:
    network = own_modules.load(name, "model.options.own =")()
    if not isinstance(network, nn.Module):
        raise UserError(
            f"model.options.own = {name!r}: must return a torch.nn.Module, not "
            f"{type(network).__name__}"
        )
    return _with_head(network, classes, dropout), IMAGENET


LOADERS: dict[str, Callable[[str, int, float, bool], Loaded]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "transformers": _transformers,
    "own": _own,
}


def _with_head(network: nn.Module, classes: int, dropout: float) -> nn.Module:
    """The network with a new last layer, behind dropout if there is to be any."""
    old = last_linear(network)
    [path] = [name for name, module in network.named_modules() if module is old]
    head = nn.Linear(old.in_features, classes)
    parent, _, name = path.rpartition(".")
    network.get_submodule(parent).register_module(
        name, nn.Sequential(nn.Dropout(dropout), head) if dropout else head
    )
    return network

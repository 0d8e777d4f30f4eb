"""The networks that a study may name: normalised inputs x [B, ...] float32 -> logits [B, K].

Inputs are images [C, H, W] or rows of a table [D].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field, validate_call
from torch import Tensor, nn

from pipelines.errors import UserError

Shape = tuple[int, ...]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Size = Annotated[int, Field(gt=0, lt=2**60)]  # PyTorch counts in 64 bits


@validate_call
def mlp(
    input_shape: Shape,
    classes: int,
    *,
    hidden: tuple[Size, ...] = (128, 128),
    dropout: Dropout = 0.0,
) -> nn.Module:
    """Fully connected layers with ReLU on the flattened input."""
    sizes = (math.prod(input_shape), *hidden)
    layers: list[nn.Module] = [nn.Flatten()]
    for i, o in pairwise(sizes):
        layers += [nn.Linear(i, o), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], classes))


@validate_call
def cnn(input_shape: Shape, classes: int, *, width: Size = 32) -> nn.Module:
    """Three blocks of convolution, BatchNorm, ReLU, pooling, for images of 8 to about 64 pixels."""
    if min(input_shape[1:]) < 8:
        raise UserError(
            f"model.name = 'cnn': needs images of at least 8 x 8 pixels, these are {input_shape}"
        )
    channels = (input_shape[0], width, 2 * width, 4 * width)
    layers: list[nn.Module] = []
    for i, o in pairwise(channels):
        layers += [_conv(i, o, 3), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], classes)
    )


@validate_call
def resnet32(input_shape: Shape, classes: int) -> nn.Module:
    """ResNet-32 for CIFAR, 0.46 M parameters (He et al., CVPR 2016, section 4.2)."""
    layers: list[nn.Module] = [_conv(input_shape[0], 16, 3), nn.BatchNorm2d(16), nn.ReLU()]
    channels = 16
    for out, first_stride in ((16, 1), (32, 2), (64, 2)):
        for stride in (first_stride, 1, 1, 1, 1):
            layers.append(ResidualBlock(channels, out, stride))
            channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


@validate_call
def wide_resnet(
    input_shape: Shape,
    classes: int,
    *,
    depth: Annotated[int, Field(gt=0, lt=10_000)] = 28,
    width: Size = 10,
    dropout: Dropout = 0.0,
) -> nn.Module:
    """WRN-28-10, 36.5 M parameters (Zagoruyko and Komodakis, BMVC 2016: dropout 0 and 0.3)."""
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        raise UserError(
            f"model.options.depth = {depth}: must be 6 n + 4, that is 10, 16, 22, 28, ..."
        )
    layers: list[nn.Module] = [_conv(input_shape[0], 16, 3)]
    channels = 16
    for out, first_stride in ((16 * width, 1), (32 * width, 2), (64 * width, 2)):
        for stride in (first_stride, *[1] * (blocks - 1)):
            layers.append(WideBlock(channels, out, stride, dropout))
            channels = out
    layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(channels, classes))


UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}  # of two convolutions, by depth


@validate_call
def cifar_resnet(input_shape: Shape, classes: int, *, depth: Literal[18, 34] = 34) -> nn.Module:
    """ResNet-34 or -18 with a first layer of 3 x 3 for images of about 32 pixels.

    As He et al. 2016 have it for larger ones, but for that layer; widths 64 to 512. 21.3 M
    parameters: what many papers call ResNet-34 on CIFAR.
    """
    layers: list[nn.Module] = [_conv(input_shape[0], 64, 3), nn.BatchNorm2d(64), nn.ReLU()]
    layers += [ProjectedBlock(*shape) for shape in _blocks(depth)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


@validate_call
def preact_resnet(input_shape: Shape, classes: int, *, depth: Literal[18, 34] = 18) -> nn.Module:
    """Pre-activation ResNet-18 or -34 for images of about 32 pixels (He et al., ECCV 2016)."""
    layers: list[nn.Module] = [_conv(input_shape[0], 64, 3)]
    layers += [WideBlock(*shape, dropout=0.0) for shape in _blocks(depth)]
    layers += [nn.BatchNorm2d(512), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(512, classes))


def _blocks(depth: int) -> Iterator[tuple[int, int, int]]:
    """Inputs, outputs and stride of each block of two convolutions."""
    channels = 64
    for stage, units in enumerate(UNITS[depth]):
        for unit in range(units):
            yield channels, 64 << stage, 2 if stage and not unit else 1
            channels = 64 << stage


@validate_call
def cnn9(input_shape: Shape, classes: int, *, dropout: Dropout = 0.25) -> nn.Module:
    """Nine convolutions, as co-teaching has them for images of 28 to 32 pixels (Han et al. 2018).

    dropout: of whole channels, after either pooling.
    """
    if min(input_shape[1:]) < 28:
        raise UserError(
            f"model.name = 'cnn9': needs images of at least 28 x 28 pixels, these are {input_shape}"
        )
    layers: list[nn.Module] = []
    channels = input_shape[0]
    for widths, padding in (((128,) * 3, 1), ((256,) * 3, 1), ((512, 256, 128), 0)):
        for out in widths:
            layers += [nn.Conv2d(channels, out, 3, padding=padding), nn.BatchNorm2d(out)]
            layers.append(nn.LeakyReLU(0.01))
            channels = out
        layers += [nn.MaxPool2d(2), nn.Dropout2d(dropout)] if padding else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, classes))


@validate_call
def cnn8(input_shape: Shape, classes: int) -> nn.Module:
    """Six convolutions and two layers, as symmetric cross-entropy's on CIFAR-10 (Wang et al. 2019).

    Their code has another weight decay on the first of the two layers: not here.
    """
    if min(input_shape[1:]) < 8:
        raise UserError(
            f"model.name = 'cnn8': needs images of at least 8 x 8 pixels, these are {input_shape}"
        )
    layers: list[nn.Module] = []
    channels = input_shape[0]
    for out in (64, 128, 196):
        for inputs in (channels, out):
            layers += [_conv(inputs, out, 3), nn.BatchNorm2d(out), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
        channels = out
    flat = channels * math.prod(side // 8 for side in input_shape[1:])
    layers += [nn.Flatten(), nn.Linear(flat, 256), nn.BatchNorm1d(256), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(256, classes))


@validate_call
def resnet18(input_shape: Shape, classes: int) -> nn.Module:
    """torchvision's ResNet-18, for images of about 224 pixels; no pretrained weights."""
    return _torchvision("resnet18", input_shape, classes)


@validate_call
def resnet50(input_shape: Shape, classes: int) -> nn.Module:
    """torchvision's ResNet-50, for images of about 224 pixels; no pretrained weights."""
    return _torchvision("resnet50", input_shape, classes)


def _torchvision(name: str, input_shape: Shape, classes: int) -> nn.Module:
    import torchvision  # slow to import, and few models need it

    network = getattr(torchvision.models, name)(num_classes=classes)
    if input_shape[0] != 3:
        network.conv1 = nn.Conv2d(input_shape[0], 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    return network


class ResidualBlock(nn.Module):
    """Two convolutions and a parameter-free shortcut (option A: subsample, pad with zeros)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = _conv(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        self.stride, self.padding = stride, (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H / stride, W / stride]."""
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.stride != 1:
            x = x[:, :, :: self.stride, :: self.stride]
            x = F.pad(x, (0, 0, 0, 0, self.padding, self.padding))
        return F.relu(x + y)


class ProjectedBlock(nn.Module):
    """Two convolutions; where shapes differ the shortcut is a convolution of 1 x 1 (option B)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = _conv(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if inputs != outputs or stride != 1:
            self.shortcut.extend([_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)])

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H / stride, W / stride]."""
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(self.shortcut(x) + y)


class WideBlock(nn.Module):
    """Pre-activation block: BatchNorm and ReLU before each convolution, dropout between them."""

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), _conv(inputs, outputs, 3, stride)
        self.norm2, self.conv2 = nn.BatchNorm2d(outputs), _conv(outputs, outputs, 3)
        self.dropout = nn.Dropout(dropout)
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else _conv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H / stride, W / stride]."""
        active = F.relu(self.norm1(x))
        y = self.conv2(self.dropout(F.relu(self.norm2(self.conv1(active)))))
        return y + (x if self.shortcut is None else self.shortcut(active))


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    """Convolution without bias (a BatchNorm follows), initialised as in He et al. 2015."""
    conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


MODELS: dict[str, Callable[..., nn.Module]] = {
    "mlp": mlp,
    "cnn": cnn,
    "resnet32": resnet32,
    "wrn_28_10": wide_resnet,
    "cifar_resnet": cifar_resnet,
    "preact_resnet": preact_resnet,
    "cnn8": cnn8,
    "cnn9": cnn9,
    "resnet18": resnet18,
    "resnet50": resnet50,
}

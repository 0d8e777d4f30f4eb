"""Models at random, to ask of all of them what must hold for each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

ACTIVATIONS = [
    nn.ReLU,
    nn.GELU,
    nn.LeakyReLU,
    nn.SiLU,
    nn.ELU,
    nn.Hardswish,
    nn.Tanh,
    nn.Softplus,
    nn.Hardtanh,
    nn.Sigmoid,
    nn.Mish,
    nn.ReLU6,
    nn.PReLU,
    nn.SELU,
]


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.branch(x))


class Dice:
    """Whole numbers and choices from a seed."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def below(self, n: int) -> int:
        return int(torch.randint(n, (), generator=self.generator))

    def one_of(self, *choices):
        return choices[self.below(len(choices))]

    def activation(self) -> nn.Module:
        return self.one_of(*ACTIVATIONS)()


def random_model(seed: int) -> tuple[nn.Sequential, Tensor]:
    """A model with its weights, in training mode, and a batch of 2 to 8 inputs.

    Fully connected, convolutional or attentive; with BatchNorm and other norms, dropout, pooling;
    initialised as usual, or ten times off; inputs centred, or with a brightness, or with ties.
    """
    dice = Dice(seed)
    torch.manual_seed(seed)
    layers, shape = dice.one_of(_dense, _convolutional, _convolutional, _attentive)(dice)
    model = nn.Sequential(*layers)
    scale = dice.one_of(1.0, 1.0, 0.1, 3.0, 10.0)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(scale)
    x = torch.randn(dice.one_of(2, 4, 8), *shape, generator=dice.generator)
    x += dice.one_of(0.0, 0.0, 3.0, 30.0)
    return model.train(), x.round() if dice.below(5) == 0 else x


def _dense(dice: Dice) -> tuple[list[nn.Module], tuple[int, ...]]:
    width = features = 1 + dice.below(40)
    layers: list[nn.Module] = [nn.Flatten()]
    for _ in range(dice.below(5)):
        after = 1 + dice.below(64)
        layers.append(nn.Linear(width, after, bias=bool(dice.below(2))))
        layers += [nn.BatchNorm1d(after)] * (dice.below(3) == 0)
        layers += [nn.LayerNorm(after)] * (dice.below(3) == 0)
        layers.append(dice.activation())
        layers += [nn.Dropout(0.3)] * (dice.below(3) == 0)
        width = after
    return [*layers, nn.Linear(width, 2 + dice.below(9))], (features,)


def _convolutional(dice: Dice) -> tuple[list[nn.Module], tuple[int, ...]]:
    width = channels = dice.one_of(1, 3)
    layers: list[nn.Module] = []
    for _ in range(1 + dice.below(4)):
        after = 4 * (1 + dice.below(4))
        kernel, stride, bias = dice.one_of(1, 3, 5), dice.one_of(1, 2), bool(dice.below(2))
        layers.append(nn.Conv2d(width, after, kernel, stride, padding=2, bias=bias))
        if dice.below(2):
            norms = nn.BatchNorm2d(after), nn.GroupNorm(2, after), nn.InstanceNorm2d(after)
            layers.append(dice.one_of(*norms))
        layers.append(dice.activation())
        if dice.below(3) == 0:
            layers.append(dice.one_of(nn.MaxPool2d, nn.AvgPool2d)(2, ceil_mode=True))
        layers += [Residual(after)] * (dice.below(3) == 0)
        layers += [nn.Dropout2d(0.2)] * (dice.below(4) == 0)
        width = after
    pool = dice.one_of(nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)(1)
    size = 8 + dice.below(20)
    head = nn.Linear(width, 2 + dice.below(9))
    return [*layers, pool, nn.Flatten(), head], (channels, size, size)


def _attentive(dice: Dice) -> tuple[list[nn.Module], tuple[int, ...]]:
    width = 8 * (1 + dice.below(3))
    layers: list[nn.Module] = [
        nn.TransformerEncoderLayer(
            width,
            nhead=2,
            dim_feedforward=16 + dice.below(20),
            dropout=dice.one_of(0.0, 0.1, 0.2),
            batch_first=True,
            norm_first=bool(dice.below(2)),
        )
        for _ in range(1 + dice.below(2))
    ]
    return [*layers, nn.Flatten(), nn.Linear(5 * width, 2 + dice.below(9))], (5, width)

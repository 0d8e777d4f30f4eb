"""The layers of networks that others have written."""

import pytest
from torch import nn
from torchvision.models import get_model

from pipelines.models.layers import layers_of


@pytest.mark.parametrize(
    ("name", "layers", "first", "last"),
    [
        ("resnet18", 10, "conv1.weight", "fc.weight"),  # a stem, 8 blocks, the head
        ("mobilenet_v3_small", 15, "features.0.0.weight", "classifier.3.weight"),
        ("shufflenet_v2_x0_5", 19, "conv1.0.weight", "fc.weight"),
    ],
)
def test_layers_are_the_blocks_of_known_networks(name, layers, first, last):
    network = get_model(name)
    found = layers_of(network)
    assert len(found) == layers
    assert found[0][0] == first and found[-1][0] == last
    names = [name for layer in found for name in layer]
    assert sorted(names) == sorted(n for n, _ in network.named_parameters())
    assert all(any(network.get_parameter(n).dim() > 1 for n in layer) for layer in found)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(nn.init.zeros_(nn.Linear(4, 1).weight))
        self.embed = nn.Linear(3, 4)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(4, 2, 8) for _ in range(3))
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2)


def test_what_belongs_to_no_layer_is_of_the_first_and_a_norm_of_the_one_before():
    found = layers_of(Attention())
    assert len(found) == 5
    assert found[0] == ["token", "embed.weight", "embed.bias"]
    assert found[3][-2:] == ["norm.weight", "norm.bias"]
    assert found[4] == ["head.weight", "head.bias"]

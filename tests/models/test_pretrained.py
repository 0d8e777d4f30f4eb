"""Networks that somebody has trained: their weights, head, layers, and what they take."""

import math

import pytest
import torch
from torch import nn
from torchvision.models import get_model, get_model_weights
from torchvision.transforms.v2 import functional

from pipelines.errors import UserError
from pipelines.models.build import build, build_networks
from pipelines.models.heads import rate_factors
from pipelines.models.pretrained import Images
from pipelines.study.protocol import Model

NAME = "shufflenet_v2_x0_5"
SHAPE = (3, 40, 40)


class Small(nn.Module):
    """A row of blocks with norms and dropout, and a head for five classes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2)
        self.blocks = nn.Sequential(*(Block() for _ in range(3)))
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return x + self.dropout(self.norm(self.conv(x)).relu())


def small():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return Small()


def number():
    return 3


def no_network():
    raise ValueError("the file is gone")


def of(options, shape=SHAPE, classes=7, weights=True):
    return build(Model(name="pretrained", options=options), shape, classes, weights)


def own(**options):
    return of({"own": f"{__name__}:small"} | options)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Weights of a network as torchvision keeps what it has downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    network = get_model(NAME)
    torch.save(network.state_dict(), folder / get_model_weights(NAME).DEFAULT.url.split("/")[-1])
    return network.eval()


def test_a_published_network_gives_what_it_gives_but_for_its_head(published):
    network = of({"torchvision": NAME}).eval()
    with torch.no_grad():
        published.fc.weight = nn.Parameter(network.network.fc.weight)
        published.fc.bias = nn.Parameter(network.network.fc.bias)
        images = torch.rand(2, *SHAPE)
        expected = published(
            functional.normalize(images, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        )
        torch.testing.assert_close(network(images), expected)
    assert expected.shape == (2, 7)


def test_without_weights_nothing_is_loaded(tmp_path, monkeypatch):
    """As for a model that is read: its own come afterwards."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert of({"torchvision": NAME}, weights=False)(torch.rand(2, *SHAPE)).shape == (2, 7)
    assert list(tmp_path.iterdir()) == []


def test_the_head_is_drawn_anew_and_all_else_is_not():
    ones = [
        build_networks(
            Model(name="pretrained", options={"own": f"{__name__}:small"}), SHAPE, 7, 2, (seed,)
        )
        for seed in (0, 1)
    ]
    networks = [member for one in ones for member in one.members]
    heads = {tuple(network.network.head.weight.flatten().tolist()) for network in networks}
    assert len(heads) == 4
    assert all(torch.equal(n.network.stem.weight, small().stem.weight) for n in networks)


def test_what_is_not_trained_stays_as_it_is():
    network = own(last_layers=2)
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert {name.split(".")[1] for name in trained} == {"blocks", "head"}
    assert all(".blocks.2." in name for name in trained if "blocks" in name)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    network(torch.rand(4, *SHAPE))
    moved = {n for n, tensor in network.state_dict().items() if not torch.equal(tensor, before[n])}
    assert moved and all(".blocks.2.norm." in name for name in moved)
    assert network.network.blocks[2].dropout.training
    assert not network.network.blocks[1].dropout.training


def test_the_head_alone_can_be_trained():
    network = own(last_layers=1, dropout=0.3)
    assert [n for n, p in network.named_parameters() if p.requires_grad] == [
        "network.head.1.weight",
        "network.head.1.bias",
    ]
    assert network.network.head[0].p == 0.3


def test_rates_fall_from_the_head_to_the_inputs():
    factors = rate_factors(own(layer_decay=0.5))
    assert factors["network.stem.weight"] == 0.5**4
    assert factors["network.blocks.2.norm.bias"] == 0.5
    assert "network.head.weight" not in factors and rate_factors(own()) == {}
    twice = build_networks(
        Model(name="pretrained", options={"own": f"{__name__}:small", "layer_decay": 0.5}),
        SHAPE,
        7,
        2,
        (0,),
    )
    assert rate_factors(twice)["members.1.network.stem.weight"] == 0.5**4


def test_images_get_colours_a_size_and_a_normalisation():
    grey = torch.rand(2, 1, 8, 8)
    found = Images(16, (0.5, 0.5, 0.5), (0.25, 0.5, 1.0))(grey)
    resized = functional.resize(grey, [16, 16], antialias=True)
    for channel, std in enumerate((0.25, 0.5, 1.0)):
        torch.testing.assert_close(found[:, channel], (resized[:, 0] - 0.5) / std)


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({"torchvision": "resnet_18"}, SHAPE, "torchvision = 'resnet_18': cannot be loaded"),
        ({"own": f"{__name__}:number"}, SHAPE, "must return a torch.nn.Module, not int"),
        ({"own": f"{__name__}:no_network"}, SHAPE, "cannot be loaded: ValueError: the file is"),
        ({"own": f"{__name__}:small"}, (12,), r"is for grey or colour images, the inputs are"),
        ({"own": f"{__name__}:small"}, (4, 8, 8), r"is for grey or colour images"),
        ({"own": f"{__name__}:small", "last_layers": 6}, SHAPE, "= 6: the network has 5"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(options, shape, message):
    with pytest.raises(UserError, match=message) as refused:
        of(options, shape)
    assert "\n" not in str(refused.value)


@pytest.fixture
def timms(tmp_path, monkeypatch):
    """A network of timm, whose weights lie where its hub's client has put them."""
    from tests.support import timm_weights  # timm takes seconds

    network = timm_weights.network()
    timm_weights.as_downloaded(network, tmp_path, monkeypatch)
    return timm_weights.NAME, network


@pytest.mark.slow
def test_timms_networks_give_what_they_give_but_for_their_head(timms, tmp_path):
    name, published = timms
    network = of({"timm": name, "dropout": 0.2}).eval()
    images = torch.rand(2, *SHAPE)
    with torch.no_grad():
        features = published.forward_head(
            published.forward_features(functional.normalize(images, [0.5] * 3, [0.5] * 3)),
            pre_logits=True,
        )
        expected = network.network.fc(features)
        torch.testing.assert_close(network(images), expected)
        assert network(images[:, :1]).shape == expected.shape == (2, 7)
    assert network.network.drop_rate == 0.2
    depths = {
        n: round(math.log2(f))
        for n, f in rate_factors(of({"timm": name, "layer_decay": 0.5})).items()
    }
    assert (
        depths["network.conv1.0.weight"]
        == min(depths.values())
        < depths["network.layer4.0.conv1.weight"]
    )
    assert "network.fc.weight" not in depths
    tail = {
        n for n, p in of({"timm": name, "last_layers": 1}).named_parameters() if p.requires_grad
    }
    assert tail == {"network.fc.weight", "network.fc.bias"}


@pytest.mark.slow
def test_timms_networks_may_lie_in_a_folder_with_their_own_normalisation(tmp_path):
    from tests.support import timm_weights

    published = timm_weights.network()
    name = timm_weights.in_a_folder(published, tmp_path / "mine")
    network = of({"timm": name})
    assert network.prepare.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert torch.equal(network.network.conv1[0].weight, published.conv1[0].weight)


@pytest.mark.slow
def test_timms_networks_that_are_nowhere_are_named_in_one_line(timms, tmp_path):
    with pytest.raises(UserError, match="timm = 'resnet_18': cannot be loaded") as refused:
        of({"timm": "resnet_18"})
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match=r"timm = 'test_vit\.r160_in1k': cannot be loaded"):
        of({"timm": "test_vit.r160_in1k"})

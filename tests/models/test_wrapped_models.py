"""Models of the user's own as they come: wrapped, compiled, lazy, with more than one output."""

import io
from collections import OrderedDict, namedtuple
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pipelines.errors import UserError
from pipelines.models.build import build, unwrapped
from pipelines.models.heads import logits_of
from pipelines.models.network import Network
from pipelines.study.protocol import Model


def plain(input_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0], 6), nn.Linear(6, classes))


def parallel(input_shape, classes):
    return nn.DataParallel(plain(input_shape, classes))


def compiled(input_shape, classes):
    return torch.compile(plain(input_shape, classes))


def compiled_in_place(input_shape, classes):
    model = plain(input_shape, classes)
    model.compile()
    return model


def parts_wrapped(input_shape, classes):
    model = plain(input_shape, classes)
    model[1], model[2] = torch.compile(nn.DataParallel(model[1])), nn.DataParallel(model[2])
    return model


WRAPPED = [parallel, compiled, compiled_in_place, parts_wrapped]


def network_of(factory, shape=(5,), classes=3):
    torch.manual_seed(0)
    return build(Model(name=f"{__name__}:{factory.__name__}"), shape, classes)


@pytest.mark.parametrize("factory", WRAPPED)
def test_what_is_wrapped_around_a_model_is_taken_off(factory):
    network, expected = network_of(factory), network_of(plain)
    assert str(network) == str(expected) and network._compiled_call_impl is None
    assert network.state_dict().keys() == expected.state_dict().keys()
    x = torch.randn(4, 5)
    moved = {name: p + 1 for name, p in network.named_parameters()}
    logits = Network(network).forward_with(moved, x).logits
    assert torch.equal(logits, Network(expected).forward_with(moved, x).logits)


def test_a_plain_model_is_left_as_it_is():
    network = plain((5,), 3)
    assert unwrapped(network) is network and "_compiled_call_impl" not in vars(network)


def scripted(input_shape, classes):
    return torch.jit.script(plain(input_shape, classes))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")
def test_a_scripted_model_trains_but_is_at_no_other_parameters():
    network = Network(network_of(scripted))
    assert network(torch.randn(4, 5)).logits.shape == (4, 3)
    with pytest.raises(UserError, match="a TorchScript module cannot be called at other"):
        network.without_buffer_updates(torch.randn(4, 5))


def lazy(input_shape, classes):
    return nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(classes)
    )


def test_lazy_layers_have_their_shapes_at_once():
    network = network_of(lazy, (2, 6, 6), 3)
    assert network[3].weight.shape == (3, 64) and network.training
    assert network[1].num_batches_tracked == 0 and not network[1].running_mean.any()
    again = network_of(lazy, (2, 6, 6), 3).state_dict()
    assert all(torch.equal(again[name], t) for name, t in network.state_dict().items())
    assert Network(network)(torch.randn(2, 2, 6, 6)).logits.shape == (2, 3)


def test_a_lazy_model_that_does_not_fit_its_inputs_is_refused():
    with pytest.raises(UserError, match=r"model '.*:lazy' fails on input \(2, 5\): "):
        network_of(lazy, (5,))


class Dictionary(OrderedDict):
    """As transformers' outputs: both a mapping and with attributes."""

    @property
    def logits(self):
        return self["logits"]


LOGITS, AUXILIARY = torch.zeros(2, 3), torch.ones(2, 3)
Aside = namedtuple("Aside", "aux logits")
OUTPUTS = [
    LOGITS,
    (LOGITS, AUXILIARY),
    [LOGITS],
    {"logits": LOGITS, "hidden": AUXILIARY},
    {"out": LOGITS, "aux": AUXILIARY},
    Aside(AUXILIARY, LOGITS),
    Dictionary(loss=AUXILIARY, logits=LOGITS),
    SimpleNamespace(aux=AUXILIARY, logits=LOGITS),
]


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: type(output).__name__)
def test_logits_are_found_among_outputs(output):
    assert logits_of(output) is LOGITS


@pytest.mark.parametrize("output", [None, (), {}, "logits", [None], SimpleNamespace(logits=1)])
def test_outputs_without_logits_are_refused(output):
    with pytest.raises(UserError, match=r"the model gives .*: must be logits, or a group"):
        logits_of(output)


def test_further_heads_of_training_are_left_out():
    from torchvision.models import googlenet  # slow to import

    network = Network(googlenet(num_classes=3, init_weights=False).train())
    assert network(torch.randn(2, 3, 32, 32)).logits.shape == (2, 3)


def test_a_model_that_was_saved_wrapped_loads_as_the_plain_one():
    buffer = io.BytesIO()
    torch.save(network_of(parallel).state_dict(), buffer)
    buffer.seek(0)
    network_of(compiled).load_state_dict(torch.load(buffer))

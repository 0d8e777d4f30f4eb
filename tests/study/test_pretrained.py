"""What a study may say of a pretrained network."""

import pytest

from pipelines.errors import UserError
from pipelines.study.protocol import Protocol, with_changes
from tests.conftest import training_spec, under

OF_IMAGES = {"torchvision": "resnet18"}
OF_TEXTS = {"transformers": "mini"}


def protocol(options, **changes):
    model = {"name": "pretrained", "options": options}
    return with_changes(Protocol(), {"data.normalise": "none", "model": model} | changes)


def test_it_is_named_by_one_library():
    assert protocol(OF_IMAGES | {"last_layers": 1, "dropout": 0.2}).model.name == "pretrained"
    assert protocol(OF_TEXTS, **{"data.encoder": OF_TEXTS}).model.options == OF_TEXTS


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        ({}, {}, "name one network, by one of torchvision, timm, transformers, own"),
        (OF_IMAGES | OF_TEXTS, {}, "name one network"),
        ({"torchvison": "resnet18"}, {}, "did you mean 'torchvision'"),
        (OF_IMAGES | {"last_layers": 0}, {}, r"model\.options\.last_layers = 0"),
        (OF_IMAGES | {"layer_decay": 1.5}, {}, r"model\.options\.layer_decay = 1\.5"),
        ({"own": "network"}, {}, "Input should be module:function"),
        (OF_TEXTS | {"size": 32}, {}, "size is an option of networks for images"),
        (OF_IMAGES, {"data.normalise": "data"}, "data.normalise must be 'none', not 'data'"),
        (OF_TEXTS, {}, r"\{transformers: mini\} and model: .* belong together"),
        (OF_TEXTS, {"data.encoder": {"transformers": "other"}}, "belong together"),
    ],
)
def test_what_does_not_fit_is_refused(options, changes, message):
    with pytest.raises(UserError, match=message):
        protocol(options, **changes)


def test_tokens_are_for_the_network_that_takes_them():
    with pytest.raises(UserError, match="belong together"):
        with_changes(Protocol(), {"data.encoder": OF_TEXTS})


def test_a_network_of_ones_own_is_among_the_modules_of_a_trial():
    model = {"name": "pretrained", "options": {"own": "mine:network"}}
    spec = under(training_spec("ce"), {"data.normalise": "none", "model": model})
    assert "mine" in spec.modules

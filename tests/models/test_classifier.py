"""A trained model takes images as they are stored: another scale is refused, never guessed."""

import pytest
import torch
from torch import nn

from pipelines.errors import UserError
from pipelines.models.classifier import Classifier

BYTES = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4).to(torch.uint8)


def classifier(
    mean: float = 120.0, shape: tuple[int, ...] = (3, 1, 1), std: float = 60.0
) -> Classifier:
    torch.manual_seed(0)
    inputs = 48 if len(shape) == 3 else 3
    network = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 5))
    return Classifier(network, torch.full(shape, mean), torch.full(shape, std), list("abcde"))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float16])
def test_bytes_are_bytes_in_whatever_type(dtype: torch.dtype):
    model = classifier()
    assert torch.equal(model(BYTES.to(dtype)), model(BYTES))


def test_gradients_in_an_image_are_those_of_its_bytes():
    x = BYTES.float().requires_grad_()
    classifier()(x + 0.25).sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (BYTES / 255, r"from 0 to 0\.37\d+ \(float32\): .*255; were they divided by 255\?"),
        ((BYTES > 40).float(), r"from 0 to 1 \(float32\).*; were they divided by 255\?"),
        (BYTES > 40, r"\(bool\).*; were they divided by 255\?"),
        ((BYTES - 47.5) / 27, r"from -1\.7\d+ to 1\.7\d+ \(float32\): .* bytes from 0 to 255\Z"),
        (BYTES.float() * 256, "from 0 to 24320"),
        (BYTES.int() - 1, r"from -1 to 94 \(int32\)"),
        (BYTES.float() + float("nan"), "from nan to nan"),
    ],
)
def test_another_scale_is_refused_in_one_line(x: torch.Tensor, message: str):
    with pytest.raises(UserError, match=rf"\Aimages [^\n]*{message}[^\n]*"):
        classifier()(x)


def test_what_is_the_same_on_every_scale_is_no_mistake():
    black = torch.zeros(1, 3, 4, 4)
    assert torch.equal(classifier()(black), classifier()(black.to(torch.uint8)))
    dark = classifier(mean=0.4, std=0.5)  # of masks that are stored as 0 and 1
    masks = (BYTES > 40).to(torch.uint8)
    assert torch.equal(dark(masks.float()), dark(masks))


def test_a_model_that_normalises_to_0_and_1_by_itself_takes_bytes_too():
    """`data.normalise: none`."""
    with pytest.raises(UserError, match=r"were they divided by 255\?"):
        classifier(mean=0.0, std=255.0)(BYTES / 255)


def test_features_of_tables_have_any_scale():
    x = torch.tensor([[-1e6, 0.5, 0.1]])
    assert classifier(shape=(3,))(x).shape == (1, 5)


def test_a_model_that_is_exported_asks_for_no_values():
    exported = torch.export.export(classifier(), (BYTES.float(),)).module()
    assert torch.equal(exported(BYTES.float()), classifier()(BYTES))

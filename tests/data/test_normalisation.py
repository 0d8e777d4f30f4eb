"""By which mean and deviation inputs are normalised."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from pipelines.data.dataset import make_dataset
from pipelines.data.normalisation import statistics
from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.study.protocol import Protocol, protocol_hash

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 3, 6, 5), np.uint8)
Y = np.arange(20) % 2


def of(x, how):
    return statistics(make_dataset("x", x, Y), np.arange(4), how)


def normalised(x, how):
    mean, std = (t.view(-1, 1, 1) for t in of(x, how))
    return (torch.from_numpy(x) - mean) / std


def test_imagenets_are_what_torchvision_does_with_images_between_0_and_1():
    scaled = torch.from_numpy(PIXELS) / 255
    expected = functional.normalize(scaled, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    torch.testing.assert_close(normalised(PIXELS, "imagenet"), expected)


def test_none_leaves_images_between_0_and_1_and_features_as_they_are():
    torch.testing.assert_close(normalised(PIXELS, "none"), torch.from_numpy(PIXELS) / 255)
    mean, std = of(PIXELS[:, 0, 0].astype(np.float32), "none")
    assert (mean == 0).all() and (std == 1).all()


def test_of_the_data_nothing_is_learned_of_what_is_for_testing():
    x = PIXELS[4:].astype(np.float64)
    mean, std = of(PIXELS, "data")
    np.testing.assert_allclose(mean, x.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std, x.std((0, 2, 3)), rtol=1e-6)


@pytest.mark.parametrize("x", [PIXELS[:, :1], PIXELS[:, 0, 0].astype(np.float32)])
def test_imagenets_are_for_colour_images(x):
    with pytest.raises(UserError, match=r"data.normalise = 'imagenet': is for colour images"):
        of(x, "imagenet")


def test_it_is_part_of_the_protocol():
    splits = {"test": 100}
    data = [
        Protocol.model_validate({"data": {"normalise": how}, "splits": splits})
        for how in ("data", "none")
    ]
    assert len({protocol_hash(each, "content") for each in data}) == 2
    plain = Protocol.model_validate({"splits": splits})
    assert protocol_hash(data[0], "content") == protocol_hash(plain, "content")
    assert (prepare(data[1], 0).std == 255).all()

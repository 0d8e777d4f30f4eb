"""Crops, flips, policies and functions of one's own, on batches."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import RandAugment, TrivialAugmentWide, functional

from methods.objective import generator, seed_of
from pipelines.errors import UserError
from pipelines.training.augmentation import (
    PAD,
    Augmentation,
    crop_flip,
    crop_flip_gather,
    draw_crop_offsets,
)


def by_torchvision(image, top, left, flip, zeros):
    padded = functional.pad(image, [PAD] * 4, padding_mode="constant" if zeros else "reflect")
    crop = functional.crop(padded, top, left, *image.shape[1:])
    return functional.horizontal_flip(crop) if flip else crop


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("way", [crop_flip, crop_flip_gather])
@pytest.mark.parametrize("shape", [(40, 3, 32, 32), (40, 1, 8, 12)])
def test_it_is_pad_crop_and_mirror(shape, way, zeros):
    x = torch.randint(256, shape, dtype=torch.uint8, generator=generator("x"))
    crop_offsets = draw_crop_offsets(len(x), generator("crop_offsets"))
    found = way(x, crop_offsets, zeros)
    assert found.dtype == torch.uint8
    pairs = zip(x, crop_offsets.T.tolist(), strict=True)
    assert torch.equal(
        found, torch.stack([by_torchvision(image, *place, zeros) for image, place in pairs])
    )


def test_places_cover_all_shifts_and_half_are_mirrored():
    crop_offsets = draw_crop_offsets(10_000, generator("many"))
    for shifts in crop_offsets[:2]:
        assert shifts.bincount().tolist() == pytest.approx([10_000 / 9] * 9, rel=0.15)
    assert crop_offsets[2].float().mean().item() == pytest.approx(0.5, abs=0.02)


def images(n=4, channels=3):
    return torch.randint(
        256, (n, channels, 16, 16), dtype=torch.uint8, generator=generator("images")
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "policy"), [("randaugment", RandAugment), ("trivialaugment", TrivialAugmentWide)]
)
def test_a_policy_is_torchvisions_image_by_image(name, policy, channels):
    x, key = images(channels=channels), (0, 1, 2, 3)
    found = Augmentation(name, (channels, 16, 16))(x, None, key)
    torch.manual_seed(seed_of(*key, name))
    expected = torch.stack([policy()(image) for image in x])
    assert torch.equal(found, expected) and not torch.equal(found, x)


def test_policies_draw_by_their_key_alone():
    augmentation, x = Augmentation("trivialaugment", (3, 16, 16)), images(8)
    one = augmentation(x, None, (0, 0))
    torch.rand(7)
    assert torch.equal(augmentation(x, None, (0, 0)), one)
    assert not torch.equal(augmentation(x, None, (0, 1)), one)


def inverted(x):
    return 255 - x


def larger(x):
    return torch.cat([x, x])


def as_floats(x):
    return x / 255


def of_numpys_stream(x):
    return x + torch.from_numpy(np.random.default_rng().integers(1, 200, x.shape, np.uint8))


def failing(x):
    raise ValueError("no such colour")


def test_a_function_of_ones_own_follows_the_crops():
    x, shape = images(), (3, 16, 16)
    offsets = draw_crop_offsets(len(x), generator("offsets"))
    augmentation = Augmentation(f"crop_flip+{__name__}:inverted", shape)
    assert augmentation.crops and augmentation.anew and not augmentation.on_device
    assert torch.equal(augmentation(x, offsets, ()), 255 - crop_flip(x, offsets))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("larger", r"is given torch.uint8 \(4, 3, 16, 16\), and must give such a tensor"),
        ("as_floats", "must give such a tensor"),
        ("of_numpys_stream", "gives other values under the same seed"),
        ("failing", "fails with ValueError: no such colour"),
        ("missing", "has no 'missing'"),
    ],
)
def test_a_function_that_cannot_be_used_is_refused(function, message):
    with pytest.raises(UserError, match=message):
        Augmentation(f"{__name__}:{function}", (3, 16, 16))(images(), None, ())


@pytest.mark.parametrize("augment", ["crop_flip", "randaugment", "crop_flip+mixup", "cutmix"])
def test_what_is_for_images_is_refused_for_a_table(augment):
    with pytest.raises(UserError, match=r"is for images, the inputs are \(7,\)"):
        Augmentation(augment, (7,))
    assert Augmentation("mixup", (7,)).mixes == "mixup"

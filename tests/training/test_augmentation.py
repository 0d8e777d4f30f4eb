"""Crops and flips: one image at a time as torchvision does it, and all at once."""

import pytest
import torch
from torchvision.transforms.v2 import functional

from methods.objective import generator
from pipelines.training.augmentation import PAD, crop_flip, crop_flip_gather, draw_crop_offsets


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

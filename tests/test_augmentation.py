"""Crops and flips against the plain way: pad, slice, mirror, one image at a time."""

import pytest
import torch
from torch.nn import functional

from methods.objective import generator
from pipelines.augmentation import PAD, crop_flip, draw_places


def one_at_a_time(x, places):
    height, width = x.shape[2:]
    found = []
    for image, (top, left, flip) in zip(x, places.T.tolist(), strict=True):
        padded = functional.pad(image.double()[None], (PAD,) * 4, mode="reflect")[0]
        crop = padded[:, top : top + height, left : left + width]
        found.append(crop.flip(2) if flip else crop)
    return torch.stack(found)


@pytest.mark.parametrize("shape", [(40, 3, 32, 32), (40, 1, 8, 12)])
def test_it_is_pad_crop_and_mirror(shape):
    x = torch.randint(256, shape, dtype=torch.uint8, generator=generator("x"))
    places = draw_places(len(x), generator("places"))
    found = crop_flip(x, places)
    assert found.dtype == torch.uint8
    assert torch.equal(found.double(), one_at_a_time(x, places))


def test_places_cover_all_shifts_and_half_are_mirrored():
    places = draw_places(10_000, generator("many"))
    for shifts in places[:2]:
        assert shifts.bincount().tolist() == pytest.approx([10_000 / 9] * 9, rel=0.15)
    assert places[2].float().mean().item() == pytest.approx(0.5, abs=0.02)

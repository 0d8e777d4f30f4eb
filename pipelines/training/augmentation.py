"""Augmentation of whole batches on the device."""

import torch
from torch import Tensor
from torch.nn import functional as F

PAD = 4


def draw_crop_offsets(n: int, gen: torch.Generator) -> Tensor:
    """What `crop_flip` does to each of n images: shift down, shift right, mirror; [3, n], CPU."""
    shifts = torch.randint(2 * PAD + 1, (2, n), generator=gen)
    return torch.cat([shifts, (torch.rand(n, generator=gen) < 0.5).long()[None]])


def crop_flip(x: Tensor, crop_offsets: Tensor, zeros: bool = False) -> Tensor:
    """Pad images [B, C, H, W] by 4, crop each at its own place, mirror half of them.

    One image after the other (He et al. 2016). Stored bytes stay bytes. zeros: what is around an
    image is black; else its reflection.
    """
    height, width = x.shape[2:]
    mode = "constant" if zeros else "reflect"
    padded = F.pad(x.float(), (PAD,) * 4, mode=mode).to(x.dtype)  # exact: bytes fit a float
    crops = []
    for image, (top, left, flip) in zip(padded, crop_offsets.T.tolist(), strict=True):
        crop = image[:, top : top + height, left : left + width]
        crops.append(crop.flip(2) if flip else crop)
    return torch.stack(crops)


def crop_flip_gather(x: Tensor, crop_offsets: Tensor, zeros: bool = False) -> Tensor:
    """`crop_flip` for all images at once.

    The padded images are never built: each pixel is fetched from where it comes from.
    """
    batch, channels, height, width = x.shape
    top, left, flip = crop_offsets[:, :, None]
    columns = torch.arange(width, device=x.device)[None]
    columns = torch.where(flip > 0, width - 1 - columns, columns) + left - PAD
    rows = torch.arange(height, device=x.device)[None] + top - PAD
    source = _reflect(rows, height)[:, :, None] * width + _reflect(columns, width)[:, None, :]
    source = source.view(batch, 1, -1).expand(-1, channels, -1)
    crops = x.flatten(2).gather(2, source).view_as(x)
    if not zeros:
        return crops
    inside = _inside(rows, height)[:, :, None] & _inside(columns, width)[:, None, :]
    return crops * inside[:, None]


def _inside(place: Tensor, size: int) -> Tensor:
    return (place >= 0) & (place < size)


def _reflect(place: Tensor, size: int) -> Tensor:
    """Places outside 0 ... size - 1 mirrored at the outermost pixels."""
    return size - 1 - (size - 1 - place.abs()).abs()

"""Augmentation of whole batches on the device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.objective import Key, seed_of
from pipelines import own_modules
from pipelines.errors import UserError, one_line
from pipelines.study.augmentations import AUGMENTATIONS, CROPS, MIXES, augmentations_of

PAD = 4
Change = Callable[[Tensor], Tensor]


class Augmentation:
    """What a protocol does to each batch of stored examples before they are normalised.

    crops: whether images are cropped and mirrored, by offsets that are drawn with the epoch; mixes:
    mixup, cutmix or none, which follow when examples are normalised; gather: crops of a batch are
    one gather.

    Raises:
        UserError: it is for images, and the inputs are none; a function of one's own is not found.
    """

    def __init__(self, augment: str, input_shape: tuple[int, ...], gather: bool = True) -> None:
        names = augmentations_of(augment)
        for name in names:
            if len(input_shape) != 3 and name in AUGMENTATIONS and name != "mixup":
                raise UserError(
                    f"augment = {augment!r}: {name} is for images, the inputs are {input_shape}"
                )
        self.crops, self._zeros = bool({*names} & {*CROPS}), "crop_flip_zeros" in names
        self.mixes = next((name for name in names if name in MIXES), None)
        self._crop_flip = crop_flip_gather if gather else crop_flip
        self._changes = {n: _change(n) for n in names if n not in CROPS and n not in MIXES}
        self._tried: set[str] = set()

    @property
    def anew(self) -> bool:
        """Whether the same examples can be augmented in another way."""
        return self.crops or bool(self._changes)

    @property
    def on_device(self) -> bool:
        """Whether nothing is drawn in a step, so that a GPU may replay it."""
        return not self._changes and self.mixes is None

    def __call__(
        self, x: Tensor, crop_offsets: Tensor | None, key: Key, *purpose: int | str
    ) -> Tensor:
        """Stored examples x [B, ...], changed.

        What draws for itself does so under the step's key and the purpose; where nothing does, the
        key is not read, since a step that reads it is not recorded.

        Raises:
            UserError: a function of one's own fails, or gives something else than it was given.
        """
        if crop_offsets is not None:
            x = self._crop_flip(x, crop_offsets, self._zeros)
        for name, change in self._changes.items():
            own = (*key, *purpose, name)
            changed = _seeded(name, change, x, own)
            if name not in self._tried:  # once: it costs as much as the change
                self._tried.add(name)
                if not torch.equal(changed, _seeded(name, change, x, own)):
                    raise UserError(
                        f"augment = {name!r}: gives other values under the same seed; it must draw "
                        "from torch's global generator alone"
                    )
            x = changed
        return x


def _seeded(name: str, change: Change, x: Tensor, key: Key) -> Tensor:
    seed = seed_of(*key)
    torch.default_generator.manual_seed(seed)  # what torchvision's transforms draw from
    if x.device.type == "cuda":
        torch.cuda.default_generators[x.device.index or 0].manual_seed(seed)
    try:
        changed = change(x)
    except Exception as error:  # whatever a user's own code raises
        raise UserError(
            f"augment = {name!r}: fails with {type(error).__name__}: {one_line(error)}"
        ) from None
    if not isinstance(changed, Tensor) or (changed.shape, changed.dtype) != (x.shape, x.dtype):
        raise UserError(
            f"augment = {name!r}: is given {x.dtype} {tuple(x.shape)}, and must give such a tensor"
        )
    return changed


def _change(name: str) -> Change:
    """From a batch to the augmented one, drawing from torch's global generators."""
    if ":" in name:
        return own_modules.load(name, "augment")
    from torchvision.transforms import v2  # seconds, which most studies do without

    policy = {"randaugment": v2.RandAugment, "trivialaugment": v2.TrivialAugmentWide}[name]()
    # One by one: given a batch, torchvision does the same to all of its images.
    return lambda x: torch.stack([policy(image) for image in x])


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

"""Which augmentations a study may name: what is done to examples before they are trained on."""

from __future__ import annotations

import re

AUGMENTATIONS = {
    "crop_flip": "random crops and horizontal flips",
    "crop_flip_zeros": "random crops, black around them, and horizontal flips",
    "randaugment": "RandAugment",
    "trivialaugment": "TrivialAugment",
    "mixup": "mixup",
    "cutmix": "CutMix",
}
CROPS = ("crop_flip", "crop_flip_zeros")
#: What makes one example of two, and their labels with them.
MIXES = ("mixup", "cutmix")
OWN = re.compile(r"[\w.]+:[\w.]+")


def augmentations_of(augment: str) -> list[str]:
    """The names in `crop_flip+randaugment`, in their order; of `none` there are none."""
    return [] if augment == "none" else augment.split("+")


def check_augment(augment: str) -> str:
    """What a study says of augmentation.

    Raises:
        ValueError: it names none, or several that cannot follow each other.
    """
    names = augmentations_of(augment)
    for name in names:
        if name not in AUGMENTATIONS and not OWN.fullmatch(name):
            known = ", ".join(map(repr, ("none", *AUGMENTATIONS)))
            raise ValueError(
                f"Input should be {known}, module:function, or several of them with + between them"
            )
    if any(name in CROPS for name in names[1:]):
        raise ValueError(f"{' and '.join(CROPS)} are allowed in the first place alone")
    if any(name in MIXES for name in names[:-1]):
        raise ValueError(f"{' and '.join(MIXES)} are allowed in the last place alone")
    if len(set(names)) < len(names):
        raise ValueError("the same one twice")
    return augment

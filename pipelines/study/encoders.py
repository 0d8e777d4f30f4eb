"""Which encoders a study may name: what makes features of texts or images, and is not trained."""

from __future__ import annotations

import re

Encoder = str | dict[str, str]

WORDS = "words"
#: Packages whose models are called by a name, or by the path of a folder. Of transformers only the
#: tokenizer: what it gives is for a network that is trained on.
LIBRARIES = ("sentence_transformers", "torchvision", "timm", "transformers")
OWN = re.compile(r"[\w.]+:[\w.]+")


def check_encoder(value: Encoder | None) -> Encoder | None:
    """An encoder as a study file has it.

    Raises:
        ValueError: it is none.
    """
    match value:
        case None | "words":
            return value
        case str() if OWN.fullmatch(value):
            return value
        case dict() if len(value) == 1 and {*value} <= {*LIBRARIES} and all(value.values()):
            return value
    named = ", ".join(f"{{{library}: NAME}}" for library in LIBRARIES)
    raise ValueError(f"must be {WORDS}, module:function, {named}")

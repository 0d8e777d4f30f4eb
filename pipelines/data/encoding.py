"""A data set's features by an encoder that is not trained: made once, and kept by content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.cache import cached
from pipelines.data.dataset import Dataset, Encoding, content_hash
from pipelines.data.encoders import as_features, encoder_named, version_of
from pipelines.documents import digest
from pipelines.errors import UserError, one_line
from pipelines.study.encoders import Encoder

BLOCK = 256  # inputs that are encoded at once


def encoded(dataset: Dataset, encoder: Encoder) -> Dataset:
    """The data set with features [N, F] in the place of its texts, images or rows.

    Its fingerprint is that of what was encoded, and of the encoder: features may differ from one
    processor to another by rounding.

    Raises:
        UserError: the encoder cannot be loaded, is for other inputs, or gives no features.
    """
    if dataset.columns:
        raise UserError(
            f"data.encoder = {encoder!r}: a table has columns for features; `source: text` reads "
            "one of texts alone, and beside others `columns` says `NAME: words`"
        )
    encoding = Encoding(encoder, dataset.x.shape[1:])
    key = [*version_of(encoder), dataset.fingerprint]

    def make(_: Path) -> Dataset:
        x = encode(encoding, dataset.x)
        return replace(dataset, x=x, fingerprint=content_hash(x))

    x = cached(["encoder", *key], make).x
    return replace(dataset, x=x, fingerprint=digest(key), encoding=encoding)


def encode(encoding: Encoding, inputs: Sequence[str] | NDArray[Any]) -> NDArray[np.float32]:
    """Features [n, F] of inputs, in blocks.

    Raises:
        UserError: as of `encoded`.
    """
    function = encoder_named(encoding.encoder, encoding.shape)
    parts = []
    for start in range(0, len(inputs), BLOCK):
        block = inputs[start : start + BLOCK]
        block = np.array(block) if encoding.shape else list(block)  # a copy of what is mapped
        try:
            given = function(block)
        except UserError:
            raise
        except Exception as error:  # whatever a user's own code raises
            raise UserError(
                f"encoder {encoding.encoder!r}: fails with {type(error).__name__}: "
                f"{one_line(error)}"
            ) from error
        parts.append(as_features(encoding.encoder, given, len(block)))
    if len({part.shape[1] for part in parts}) > 1:
        raise UserError(f"encoder {encoding.encoder!r}: gives rows of different lengths")
    return np.concatenate(parts)

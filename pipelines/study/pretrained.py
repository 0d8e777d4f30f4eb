"""What a study says of a network that somebody has trained, and that it trains on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt, ValidationError, field_validator, model_validator

from pipelines.study.validation import Strict, describe

if TYPE_CHECKING:
    from pipelines.study.protocol import Protocol

PRETRAINED = "pretrained"
Library = Literal["torchvision", "timm", "transformers", "own"]
LIBRARIES: tuple[Library, ...] = ("torchvision", "timm", "transformers", "own")
OWN = re.compile(r"[\w.]+:[\w.]+")
Colours = tuple[float, float, float]


class PretrainedOptions(Strict):
    """Options of model `pretrained`."""

    torchvision: str | None = Field(None, description="a classifier of images, by name")
    timm: str | None = Field(None, description="likewise")
    transformers: str | None = Field(None, description="an encoder of texts: name or folder")
    own: str | None = Field(None, description="module:function that gives a trained network")
    last_layers: PositiveInt | None = Field(
        None, description="how many of the last layers are trained, the head counts; none: all"
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="a layer's learning rate over that of the one behind it"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="before the head")
    size: PositiveInt | None = Field(
        None, description="side in pixels that images are resized to; none: as they are"
    )
    mean: Colours | None = Field(None, description="of images in 0 ... 1; none: as it was trained")
    std: Colours | None = Field(None, description="likewise")

    @field_validator("own")
    @classmethod
    def _function(cls, own: str | None) -> str | None:
        if own is not None and not OWN.fullmatch(own):
            raise ValueError("Input should be module:function")
        return own

    @model_validator(mode="after")
    def _one_network(self) -> PretrainedOptions:
        named = [library for library in LIBRARIES if getattr(self, library) is not None]
        if len(named) != 1:
            found = " and ".join(named) or "none"
            raise ValueError(f"name one network, by one of {', '.join(LIBRARIES)}; found {found}")
        of_images = [n for n in ("size", "mean", "std") if getattr(self, n) is not None]
        if of_images and self.transformers:
            raise ValueError(f"{of_images[0]} is an option of networks for images")
        return self

    @property
    def library(self) -> Library:
        """Whose network it is."""
        return next(library for library in LIBRARIES if getattr(self, library) is not None)


def pretrained_options(options: dict[str, Any]) -> PretrainedOptions:
    """The options of a study's model.

    Raises:
        ValueError: they are none of a pretrained network.
    """
    try:
        return PretrainedOptions.model_validate(options)
    except ValidationError as error:
        raise ValueError(describe(error, PretrainedOptions, "model.options")) from None


def check_pretrained(protocol: Protocol) -> None:
    """Do a pretrained network and the data that it is given fit each other?

    Raises:
        ValueError: they do not.
    """
    encoder = protocol.data.encoder
    tokens = encoder.get("transformers") if isinstance(encoder, dict) else None
    is_pretrained = protocol.model.name == PRETRAINED
    options = pretrained_options(protocol.model.options) if is_pretrained else None
    wanted = options.transformers if options else None
    if tokens != wanted:
        given = tokens or wanted
        raise ValueError(
            f"data.encoder: {{transformers: {given}}} and model: {{name: pretrained, options: "
            f"{{transformers: {given}}}}} belong together, since one gives the tokens that the "
            "other takes"
        )
    if options and protocol.data.normalise != "none":
        raise ValueError(
            "model.name = 'pretrained': normalises by itself, as it was trained; data.normalise "
            f"must be 'none', not {protocol.data.normalise!r}"
        )

"""What a protocol does to the labels of the training split: noise, and imbalance."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipelines.documents import digest
from pipelines.study.validation import Strict, added

# Of YAML {7: 1} is a map of whole numbers; classes are named by text everywhere else.
ClassName = Annotated[str, BeforeValidator(lambda v: str(v) if type(v) is int else v)]


class Noise(Strict):
    """Label noise on the training split (and on val, where it asks for corrupted labels)."""

    kind: Literal[
        "none",
        "uniform",
        "symmetric",
        "asymmetric",
        "flip",
        "flip2",
        "pair",
        "hierarchical",
        "background",
    ] = "none"
    rate: float = Field(default=0.0, ge=0.0, le=1.0)
    map: dict[ClassName, ClassName] | None = added(
        None, min_length=1, description="of asymmetric: which class turns into which; others stay"
    )
    groups: list[Annotated[list[ClassName], Field(min_length=2)]] | None = added(
        None,
        min_length=1,
        description="of hierarchical and asymmetric: classes that turn into each other, the latter "
        "each into the next",
    )
    background: ClassName | None = added(
        None, description="of background: the class that all turn into; none: drawn by data seed"
    )

    @model_validator(mode="after")
    def _rate_needs_a_kind(self) -> Noise:
        if self.kind == "none" and self.rate:
            raise ValueError(f"rate = {self.rate} without a kind of noise")
        return self

    @model_validator(mode="after")
    def _options_of_the_kind(self) -> Noise:
        """An option of another kind would do nothing, and nobody would be told."""
        of: dict[str, tuple[str, ...]] = {
            "map": ("asymmetric",),
            "groups": ("hierarchical", "asymmetric"),
            "background": ("background",),
        }
        for name, kinds in of.items():
            if getattr(self, name) is not None and self.kind not in kinds:
                raise ValueError(
                    f"{name} is an option of {' and '.join(kinds)}, not of {self.kind}"
                )
        if self.map is not None and self.groups is not None:
            raise ValueError("map and groups: give one")
        if own := [name for name, target in (self.map or {}).items() if name == target]:
            raise ValueError(f"map: {own[0]!r} turns into itself; leave out what stays")
        return self

    def __hash__(self) -> int:  # `map` and `groups` have none of their own
        return hash(digest(self.model_dump(mode="json")))


class Imbalance(Strict):
    """Class imbalance of the training split.

    The largest class has about `factor` times as many examples as the smallest.
    """

    kind: Literal["none", "exponential", "step"] = "none"
    factor: float = Field(default=1.0, ge=1.0, le=1e6)

    @model_validator(mode="after")
    def _factor_needs_a_kind(self) -> Imbalance:
        if self.kind == "none" and self.factor != 1:
            raise ValueError(f"factor = {self.factor} without a kind of imbalance")
        return self

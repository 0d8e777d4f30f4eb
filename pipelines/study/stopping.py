"""Whether trials of a search are stopped early, as a study's request says it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from pipelines.study.validation import Strict

NO_ASHA = (
    "asha promotes trials in the order in which they come, so that other workers, or a resumed "
    "launch, would end with other trials; use halving, whose gaps other searches fill"
)


class Stopping(Strict):
    """A rule for stopping the trials of a search early, by name or with its options."""

    rule: Literal["none", "halving", "median"] = "none"
    eta: int = Field(default=3, ge=2, le=100, description="of halving: one in eta goes on")
    rungs: int = Field(
        default=3, ge=2, le=10, description="of halving: the first at eta^-(rungs - 1) of a run"
    )

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        named = {"rule": value} if isinstance(value, str) else value
        if isinstance(named, dict) and named.get("rule") == "asha":
            raise ValueError(NO_ASHA)
        return named

    @model_validator(mode="after")
    def _options_of_halving(self) -> Stopping:
        """An option of another rule would do nothing, and nobody would be told."""
        if self.rule != "halving" and (self.eta, self.rungs) != (3, 3):
            raise ValueError(f"eta and rungs are of halving, not of {self.rule}")
        return self

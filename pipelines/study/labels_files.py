"""What a study says of a file of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from pipelines.study.validation import Strict, added


class LabelsFile(Strict):
    """A CSV file that overrides the observed labels: one row per example."""

    file: Path
    path: str = Field(
        "path", description="column that names the example: its path, or its row number"
    )
    label: str = Field(
        "label", description="column that holds the observed label: a class name or number"
    )
    columns: tuple[str, ...] | None = added(
        None, description="of several annotators: a column of labels for each, in place of `label`"
    )
    annotator: str | None = added(
        None, description="of several annotators: column that names who gave the label of a line"
    )
    rule: Literal["majority", "dawid_skene", "soft", "one"] | None = added(
        None, description="what label is made of several annotators'"
    )

    @model_validator(mode="after")
    def _rule_and_annotators(self) -> LabelsFile:
        if self.columns and self.annotator:
            raise ValueError("columns and annotator: give one")
        if self.rule and not (self.columns or self.annotator):
            raise ValueError("rule needs the annotators: `annotator`, a column, or `columns`")
        if (self.columns or self.annotator) and not self.rule:
            raise ValueError("rule is missing: majority, dawid_skene, soft or one")
        return self

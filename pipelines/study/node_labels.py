"""Which nodes of a cluster a study's trials run on: by the labels that Ray knows them by."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

ANY = "any"  # type of GPU
NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"  # as Kubernetes has it
KEY, VALUE = re.compile(rf"(?:{NAME}/)?{NAME}"), re.compile(NAME)


def _parsed(value: object) -> object:
    """Of the text that `ray start --labels` takes, too: key=value,key=value."""
    if not isinstance(value, str):
        return value
    parts = [part.partition("=") for part in value.split(",") if part.strip()]
    return {key.strip(): text.strip() for key, _, text in parts}


def _checked(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        if not (KEY.fullmatch(key) and VALUE.fullmatch(value)):
            raise ValueError(
                f"{key}={value}: a label is KEY=VALUE, of letters, digits, '_', '-' and '.'"
            )
    return labels


#: Label and value; a node must have all of them.
Labels = Annotated[dict[str, str], BeforeValidator(_parsed), AfterValidator(_checked)]

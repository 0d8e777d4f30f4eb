"""The kinds of arms, one entry each: what every table groups by and every figure colours by.

A kind's name is what a study file says (`kind: tuned loss`), and its label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Side = Literal["plain", "tuned", "control", "self-tuning", "oracle"]


@dataclass(frozen=True)
class Kind:
    """How arms of a kind are drawn, and their side of the comparison.

    The headline sets the arms of the self-tuning side that have nothing to tune against the best
    tuned arm (of any kind), and names the controls that they do not beat. Oracles are shown beside
    the others: an upper bound, which is no choice and wins nothing.
    """

    colour: str
    side: Side


#: Colours after Okabe & Ito: told apart with every common colour blindness.
KINDS = {
    "plain": Kind("#8c8c8c", "plain"),
    "tuned loss": Kind("#2f8fcb", "tuned"),
    "control": Kind("#cc79a7", "control"),
    "meta-learned weights": Kind("#dd6b1f", "self-tuning"),
    "meta-learned labels": Kind("#8a63c9", "self-tuning"),
    "meta-learned loss": Kind("#12a37a", "self-tuning"),
    "oracle": Kind("#b3a100", "oracle"),
}


def learns_itself(kind: str) -> bool:
    """Whether arms of the kind learn what others tune."""
    return KINDS[kind].side == "self-tuning"


def is_oracle(kind: str) -> bool:
    """Whether arms of the kind read the true labels of training examples, which nobody has."""
    return KINDS[kind].side == "oracle"

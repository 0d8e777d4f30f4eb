"""The data sets of the suite: what each is, where it comes from, and what it may be used for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pipelines.errors import UserError
from pipelines.study.study_file import STUDIES, Study, load_study
from pipelines.study.validation import did_you_mean

REAL = STUDIES / "real"
Part = Literal["main", "axes", "large"]
Noise = Literal["none", "artificial", "real"]


@dataclass(frozen=True)
class EvidenceSet:
    """A study file of the suite.

    development: something of this project was chosen on it, so that it judges nothing. unequal: its
    classes are, by nature or since the study thins them out. data: its folder in $UNTUNED_DATA;
    empty where nothing is needed.
    """

    name: str
    part: Part
    modality: Literal["images", "table", "texts"]
    data: str
    unequal: bool = False
    development: bool = False

    @property
    def file(self) -> Path:
        """The study file."""
        return REAL / f"{self.name}.yaml"

    @cached_property
    def study(self) -> Study:
        """The study, read from its file.

        Raises:
            UserError: $UNTUNED_DATA is not set, or the file is wrong.
        """
        return load_study(str(self.file))

    @property
    def noise(self) -> Noise:
        """What is wrong with the labels of the study's own protocol."""
        return noise_of(self.study)


def noise_of(study: Study) -> Noise:
    """Real where a labels file overrides them, artificial where the protocol corrupts them."""
    if study.protocol.noise.rate > 0:
        return "artificial"
    return "real" if study.protocol.data.labels else "none"


SETS = {
    entry.name: entry
    for entry in (
        EvidenceSet("cifar10n", "main", "images", "cifar10n-features"),
        EvidenceSet("fashion", "main", "images", "fashion-mnist"),
        EvidenceSet("hausa-news", "main", "texts", "hausa-news"),
        EvidenceSet("yoruba-news", "main", "texts", "yoruba-news", unequal=True),
        EvidenceSet("banking77", "main", "texts", "banking77"),
        EvidenceSet("music", "main", "table", "music"),
        EvidenceSet("spam", "main", "table", "spam"),
        EvidenceSet("shuttle", "main", "table", "shuttle", unequal=True),
        EvidenceSet("digits", "main", "images", "", development=True),
        EvidenceSet("letter", "main", "table", "letter", development=True),
        EvidenceSet("satellite", "main", "table", "satellite", unequal=True, development=True),
        EvidenceSet("trec", "main", "texts", "trec", unequal=True, development=True),
        EvidenceSet("cifar10n-meta", "axes", "images", "cifar10n-features"),
        EvidenceSet("hausa-news-meta", "axes", "texts", "hausa-news"),
        EvidenceSet("trec-meta", "axes", "texts", "trec", unequal=True, development=True),
        EvidenceSet("fashion-noise", "axes", "images", "fashion-mnist"),
        EvidenceSet("banking77-noise", "axes", "texts", "banking77"),
        EvidenceSet("letter-noise", "axes", "table", "letter", development=True),
        EvidenceSet("ferplus", "large", "images", "ferplus", unequal=True),
        EvidenceSet("tiny-imagenet", "large", "images", "tiny-imagenet-100"),
    )
}


def sets_named(names: list[str], part: Part | None = None) -> list[EvidenceSet]:
    """The sets of those names; without names, of a part, or all.

    Raises:
        UserError: there is none of a name.
    """
    for name in names:
        if name not in SETS:
            raise UserError(
                f"set {name!r}: the suite has {', '.join(SETS)}{did_you_mean(name, SETS)}"
            )
    chosen = [SETS[name] for name in dict.fromkeys(names)] or list(SETS.values())
    return [entry for entry in chosen if part in (None, entry.part)]

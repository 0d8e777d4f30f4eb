"""A paragraph for a paper's section on methods, in LaTeX, and the BibTeX entries that it cites."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.analysis.runs import LEVEL, MIN_UNITS
from pipelines.analysis.words import count, listed, title
from pipelines.report.set_up import SetUp
from pipelines.report.study_state import StudyState
from pipelines.study.arms import Arm
from pipelines.study.method_loading import method_class
from pipelines.study.request import Request

#: How a method's docstring names its source: Shu et al., "Meta-Weight-Net: …", NeurIPS 2019.
SOURCE = re.compile(
    r"(?P<authors>[A-Z][\w-]+(?: et al\.| & [A-Z][\w-]+|(?:, [A-Z][\w-]+)* & [A-Z][\w-]+)?), "
    r'"(?P<title>[^"]+)", (?:(?P<venue>[A-Z]\w+) )?(?P<year>\d{4})'
)
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "*": r"$\ast$",
}  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """A source that a method's docstring names; an article without a venue is a preprint."""

    authors: str
    title: str
    venue: str | None
    year: str

    @property
    def first_author(self) -> str:
        """The family name."""
        return re.split(r"[ ,]", self.authors)[0]

    @property
    def key(self) -> str:
        """First author, year, and the title's first word."""
        word = re.split(r"\W", self.title)[0]
        return f"{self.first_author}{self.year}{word}".lower()

    @property
    def bibtex(self) -> str:
        """The entry; further authors are `others`, as the docstring has them."""
        authors = self.authors.replace(" et al.", " and others")
        authors = authors.replace(" & ", " and ").replace(", ", " and ")
        kind, venue = "misc", ""
        if self.venue:
            kind, venue = "inproceedings", f"  booktitle = {{{latex(self.venue)}}},\n"
        return (
            f"@{kind}{{{self.key},\n  author = {{{latex(authors)}}},\n"
            f"  title = {{{{{latex(self.title)}}}}},\n{venue}  year = {{{self.year}}},\n}}\n"
        )


def references(arms: Mapping[str, Arm]) -> dict[str, Reference]:
    """By arm the source that its `about` names, as a method's docstring has it in full.

    The docstring may be another arm's: one source has several methods.
    """
    methods = {
        phase.method: method_class(phase.method) for a in arms.values() for phase in a.phases
    }
    texts = [
        text for m in methods.values() for text in (m.__doc__, sys.modules[m.__module__].__doc__)
    ]
    sources = [
        Reference(**match.groupdict())
        for text in texts
        for match in SOURCE.finditer(" ".join(inspect.cleandoc(text or "").split()))
    ]
    return {
        name: source
        for name, arm in arms.items()
        for source in reversed(sources)
        if source.first_author in arm.about and source.year in arm.about
    }


def methods_tex(study_state: StudyState, made: SetUp) -> str:
    """The paragraph. Every number in it is the study's own."""
    request, arms = study_state.study.request, study_state.planner.arms
    sources = references(arms)
    named = [_named(name, arm, sources.get(name)) for name, arm in arms.items()]
    sentences = [
        f"We compare {count(len(named), 'arm')}: {listed(named)}.",
        f"Data: {latex(made.data)}; {latex(made.splits)}.",
        f"Label noise: {latex(made.noise)}.",
        f"Model: {latex(made.model)}; {latex(made.schedule)}; augmentation: "
        f"{latex(made.augmentation)}.",
        *([f"Attack: {latex(made.attack)}."] if made.attack else []),
        f"Search: {latex(made.search)}.",
        *(f"Search space of {latex(arm)}: {latex(space)}." for arm, space in made.spaces.items()),
        f"Score: {latex(made.scoring)}.",
        _intervals(request),
    ]
    head = "% From the study's report; methods.bib has what is cited.\n"
    return head + "\n".join(sentences) + "\n"


def _intervals(request: Request) -> str:
    """What means and intervals are over."""
    units, over = request.repeats, "the means of the repeats"
    means = f"Means are over {count(units, 'repeat')}"
    if units == 1:
        units, over = request.seeds, "the run seeds"
        means += f" with {count(units, 'run seed')}"
    if units < MIN_UNITS:
        return f"{means}, too few for intervals."
    return f"{means}; intervals are Student's at {100 * LEVEL:g}\\% over {over}."


def methods_bib(study_state: StudyState) -> str:
    """The BibTeX entries of the methods that the study compares."""
    known = {source.key: source for source in references(study_state.planner.arms).values()}
    return "\n".join(source.bibtex for source in known.values())


def _named(name: str, arm: Arm, source: Reference | None) -> str:
    cited = f"~\\cite{{{source.key}}}" if source else ""
    return f"{latex(title(arm.about))} ({latex(name)}){cited}"


def latex(text: str) -> str:
    """Text that LaTeX sets as it is."""
    return "".join(LATEX.get(character, character) for character in text)

"""Several people's labels of one example, and the one label that is made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.splits import keyed_rng
from pipelines.errors import UserError

LARGEST = 50_000_000  # numbers in all annotators' confusions
ITERATIONS, CLOSE = 200, 1e-6
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """m answers: rows [m] of the data set, by whom [m], and which class [m].

    annotators: their names, of which `by` holds numbers. classes: K. true: nobody knows better, so
    that what a rule makes of them counts as the true label.
    """

    rows: Ints
    by: Ints
    labels: Ints
    annotators: list[str]
    classes: int
    true: bool = False

    def among(self, wanted: NDArray[np.bool_]) -> Answers:
        """Those for the examples that are wanted [N], by the same annotators."""
        kept = wanted[self.rows]
        columns = {name: getattr(self, name)[kept] for name in ("rows", "by", "labels")}
        return replace(self, **columns)

    @property
    def examples(self) -> tuple[Ints, Ints]:
        """The rows that have answers [n], rising, and of each answer which of them it is [m]."""
        return np.unique(self.rows, return_inverse=True)

    @property
    def votes(self) -> NDArray[np.float64]:
        """Answers [n, K] that each example has for each class."""
        rows, of = self.examples
        counts = np.bincount(of * self.classes + self.labels, minlength=len(rows) * self.classes)
        return counts.reshape(len(rows), self.classes).astype(float)

    @property
    def agreement(self) -> float | None:
        """Share of pairs of answers to one example that are the same; None without pairs."""
        n = self.votes.sum(axis=1)
        pairs = (n * (n - 1)).sum()
        same = (self.votes * (self.votes - 1)).sum()
        return float(same / pairs) if pairs else None


def settle(answers: Answers, rule: str) -> tuple[Ints, Ints]:
    """Rows [n], rising, that have answers, and the label of each by a rule.

    majority: the most frequent one, of several equally frequent ones one at random. dawid_skene:
    the most probable one, by how each annotator errs (`dawid_skene`). one: that of one annotator at
    random, which is what labels cost that are asked for once. soft: as of majority, for what needs
    one label; what trains takes all (`shares`). Randomness is the same each time.

    Raises:
        UserError: there are too many annotators and classes for `dawid_skene`.
    """
    rows, of = answers.examples
    chance = keyed_rng(0, f"labels by {rule}")
    if rule == "one":
        order = chance.permutation(len(of))
        _, first = np.unique(of[order], return_index=True)
        return rows, answers.labels[order[first]]
    weights = dawid_skene(answers)[0] if rule == "dawid_skene" else answers.votes
    ties = chance.random(weights.shape)
    best = weights >= weights.max(axis=1, keepdims=True)
    return rows, np.where(best, ties, -1.0).argmax(axis=1)


def shares(answers: Answers) -> tuple[Ints, NDArray[np.float32]]:
    """Rows [n], rising, that have answers, and which share of these each class has [n, K]."""
    votes = answers.votes
    total = votes.sum(axis=1, keepdims=True)
    return answers.examples[0], (votes / total).astype(np.float32)


def dawid_skene(answers: Answers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How probable each class is for each example [n, K], and each annotator's confusion [A, K, K].

    A confusion's rows are true classes, its columns answers. Expectation maximisation from the
    shares of votes (Dawid & Skene, Applied Statistics 28, 1979); each row of a confusion begins
    with one answer, spread evenly over the classes, so that who has answered little is not believed
    in everything.

    Raises:
        UserError: the confusions would not fit into memory.
    """
    rows, of = answers.examples
    annotators, classes = len(answers.annotators), answers.classes
    if annotators * classes**2 > LARGEST:
        raise UserError(
            f"labels.rule = 'dawid_skene': confusions of {annotators:,} annotators in {classes} "
            "classes are too many numbers; use majority"
        )
    probable = answers.votes / answers.votes.sum(axis=1, keepdims=True)
    confusion = np.empty((annotators, classes, classes))
    cells: Any = (answers.by, slice(None), answers.labels)  # of an answer, for each true class
    for _ in range(ITERATIONS):
        confusion[:] = 1 / classes
        np.add.at(confusion, cells, probable[of])
        confusion /= confusion.sum(axis=2, keepdims=True)
        prior = (probable.sum(axis=0) + 1 / classes) / (len(rows) + 1)
        log = np.tile(np.log(prior), (len(rows), 1))
        np.add.at(log, of, np.log(confusion)[cells])
        after = np.exp(log - log.max(axis=1, keepdims=True))
        after /= after.sum(axis=1, keepdims=True)
        moved, probable = np.abs(after - probable).max(), after
        if moved < CLOSE:
            break
    return probable, confusion


def told(answers: Answers) -> str:
    """How many there are, and how far they agree, in words."""
    n, agreement = len(answers.examples[0]), answers.agreement
    text = f"{len(answers.annotators):,}, with {len(answers.labels):,} answers for {n:,} examples"
    return text if agreement is None else f"{text}; two agree on {agreement:.0%}"


def collected(given: list[tuple[int, str, int]], classes: int) -> Answers:
    """Answers of (row, annotator, class), each annotator's one to an example."""
    names = sorted({name for _, name, _ in given})
    number = {name: place for place, name in enumerate(names)}
    columns: Any = zip(*((row, number[name], label) for row, name, label in given), strict=True)
    rows, by, labels = (np.array(column, np.int64) for column in columns)
    return Answers(rows, by, labels, names, classes)

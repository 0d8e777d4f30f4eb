"""Texts as sentence embeddings: rules that label questions, news under distant supervision."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from benchmarks.evidence.convert.files import (
    Array,
    Embed,
    needed,
    numbered,
    sentence_vectors,
    write_arrays,
    write_labels,
)
from methods.objective import seed_of

QUESTIONS = {
    "ABBR": "ABBREVIATION",
    "DESC": "DESCRIPTION",
    "ENTY": "ENTITY",
    "HUM": "HUMAN",
    "LOC": "LOCATION",
    "NUM": "NUMERIC",
}
NEWS_DIMENSIONS, INTENT_DIMENSIONS = 256, 192


def trec(source: Path, target: Path, embed: Embed = sentence_vectors) -> None:
    """Learning-From-Rules, data/TREC: train.txt, valid.txt, test.txt and rule.txt.

    `rules` is the majority of the rules that fire on a question, ties drawn by a seed of their own;
    questions on which none does are left out.
    """
    *parts, rules = needed(source, "train.txt", "valid.txt", "test.txt", "rule.txt")
    train, valid, test = (_questions(file) for file in parts)
    known = train + valid
    classes = sorted(QUESTIONS.values())
    weak = majority([text for _, text in known], _rules(rules), classes)
    covered = [(label, text, vote) for (label, text), vote in zip(known, weak, strict=True) if vote]
    vectors = _half(embed([text for _, text, _ in covered] + [text for _, text in test]))
    write_arrays(
        target,
        vectors[: len(covered)],
        numbered([label for label, _, _ in covered], classes),
        x_test=vectors[len(covered) :],
        y_test=np.array(numbered([label for label, _ in test], classes), np.int64),
        classes=classes,
    )
    votes = [str(vote) for _, _, vote in covered]
    write_labels(target, {"rules": votes, "truth": [label for label, _, _ in covered]})


def _questions(file: Path) -> list[tuple[str, str]]:
    """Class and question of each line: `NUM:dist How far is it ?`, or `NUM:how far is it ?`."""
    found = []
    for line in file.read_text(encoding="latin-1").splitlines():
        if line.strip():
            head, _, rest = line.partition(":")
            fine, _, text = rest.partition(" ")
            text = text if file.name == "test.txt" else f"{fine} {text}"
            found.append((QUESTIONS[head.strip()], " ".join(text.split()).lower()))
    return found


def _rules(file: Path) -> list[tuple[str, re.Pattern[str]]]:
    lines = [line.split("\t") for line in file.read_text(encoding="latin-1").splitlines() if line]
    return [(label.strip(), re.compile(pattern)) for label, pattern, *_ in lines]


def majority(
    texts: Sequence[str], rules: Sequence[tuple[str, re.Pattern[str]]], classes: Sequence[str]
) -> list[str | None]:
    """The class that most of the rules that fire name; None where none does."""
    rng = np.random.default_rng(seed_of("trec", "ties"))
    votes = []
    for text in texts:
        fired = [label for label, pattern in rules if pattern.search(text.strip().lower())]
        most = max(map(fired.count, classes))
        tied = [name for name in classes if most and fired.count(name) == most]
        votes.append(str(rng.choice(tied)) if tied else None)
    return votes


def news(source: Path, target: Path, embed: Embed = sentence_vectors) -> None:
    """Hedderich et al. 2020, data/…_newsclass: titles with human labels, and a lexicon's.

    train_clean.tsv, train_clean_noisy_labels.tsv and test.tsv. Inputs are sentence embeddings (of
    an English encoder, so weak here) and a singular value decomposition of character n-grams.
    """
    names = ("train_clean.tsv", "train_clean_noisy_labels.tsv", "test.tsv")
    train, noisy, test = (
        pd.read_csv(file, sep="\t", keep_default_na=False) for file in needed(source, *names)
    )
    classes = sorted(train["label"].unique())
    titles = [*train["news_title"], *test["news_title"]]
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), min_df=2, sublinear_tf=True)
    counted = grams.fit_transform(titles)
    components = min(NEWS_DIMENSIONS, len(train) - 1)
    svd = TruncatedSVD(components, random_state=0).fit(counted[: len(train)])
    x = _half(np.hstack([embed(titles), svd.transform(counted)]))
    write_arrays(
        target,
        x[: len(train)],
        numbered(list(train["label"]), classes),
        x_test=x[len(train) :],
        y_test=np.array(numbered(list(test["label"]), classes), np.int64),
        classes=classes,
    )
    write_labels(target, {"weak": list(noisy["label"]), "truth": list(train["label"])})


def banking77(source: Path, target: Path, embed: Embed = sentence_vectors) -> None:
    """PolyAI, banking_data: train.csv and test.csv; embeddings on their first 192 components."""
    train, test = (pd.read_csv(file) for file in needed(source, "train.csv", "test.csv"))
    classes = sorted(train["category"].unique())
    vectors = embed([*train["text"], *test["text"]])
    known = vectors[: len(train)]
    components = min(INTENT_DIMENSIONS, *known.shape)
    x = _half(PCA(components, random_state=0).fit(known).transform(vectors))
    write_arrays(
        target,
        x[: len(train)],
        numbered(list(train["category"]), classes),
        x_test=x[len(train) :],
        y_test=np.array(numbered(list(test["category"]), classes), np.int64),
        classes=classes,
    )


def _half(vectors: Array) -> Array:
    return np.asarray(vectors, np.float16)

"""Tables: four of UCI's, and crowd workers' answers on clips of music."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.evidence.convert.files import needed, numbered, write_arrays, write_labels
from methods.objective import seed_of

LAND = {
    1: "red soil",
    2: "cotton crop",
    3: "grey soil",
    4: "damp grey soil",
    5: "vegetation stubble",
    7: "very damp grey soil",
}
MOOD = {
    1: "Rad.Flow",
    2: "Fpv.Close",
    3: "Fpv.Open",
    4: "High",
    5: "Bypass",
    6: "Bpv.Close",
    7: "Bpv.Open",
}


def letter(source: Path, target: Path) -> None:
    """UCI 59: letter-recognition.data, a letter and 16 whole numbers a line."""
    [file] = needed(source, "letter-recognition.data")
    columns = ["letter", *(f"x{i}" for i in range(16))]
    _save(pd.read_csv(file, header=None, names=columns, keep_default_na=False), "letter", target)


def satellite(source: Path, target: Path) -> None:
    """UCI 146: sat.trn and sat.tst, 36 numbers and a class a line."""
    files = needed(source, "sat.trn", "sat.tst")
    table = pd.concat([pd.read_csv(f, sep=r"\s+", header=None) for f in files], ignore_index=True)
    _save(_named(table, "classes", LAND), "classes", target)


def shuttle(source: Path, target: Path) -> None:
    """UCI 148: shuttle.trn (uncompressed) and shuttle.tst, 9 numbers and a class a line."""
    files = needed(source, "shuttle.trn", "shuttle.tst")
    table = pd.concat([pd.read_csv(f, sep=r"\s+", header=None) for f in files], ignore_index=True)
    _save(_named(table, "Class", MOOD), "Class", target)


def spam(source: Path, target: Path) -> None:
    """UCI 94: spambase.data, 57 numbers and 1 for spam a line."""
    [file] = needed(source, "spambase.data")
    table = pd.read_csv(file, header=None)
    _save(_named(table, "type", {0: "nonspam", 1: "spam"}), "type", target)


def _named(table: pd.DataFrame, label: str, classes: dict[int, str]) -> pd.DataFrame:
    """Names for columns, the last of which is the label, and for its values."""
    *features, last = table.columns
    named = table.rename(columns={c: f"x{c}" for c in features} | {last: label})
    return named.assign(**{label: [classes[k] for k in named[label]]})


def _save(table: pd.DataFrame, label: str, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    numbers = {c: np.float32 for c in table.columns if c != label}
    table.astype(numbers).to_parquet(target / f"{target.name}.parquet", index=False)


def music(source: Path, target: Path) -> None:
    """Rodrigues et al. 2013: music_genre_gold.csv, _mturk.csv and _test.csv.

    `one_worker` is the answer of one of a clip's workers, drawn by a seed of its own.
    """
    names = [f"music_genre_{part}.csv" for part in ("gold", "mturk", "test")]
    gold, answers, test = (pd.read_csv(file) for file in needed(source, *names))
    classes = sorted(gold["class"].unique())
    of_clip = answers.groupby("id")["class"].apply(list)
    rng = np.random.default_rng(seed_of("music", "one worker"))
    drawn = [str(rng.choice(of_clip[clip])) for clip in gold["id"]]
    features = [c for c in gold.columns if c.startswith("feature")]
    write_arrays(
        target,
        gold[features].to_numpy(np.float32),
        numbered(list(gold["class"]), classes),
        x_test=test[features].to_numpy(np.float32),
        y_test=np.array(numbered(list(test["class"]), classes), np.int64),
        classes=classes,
    )
    write_labels(target, {"one_worker": drawn, "truth": list(gold["class"])})

"""What is written of a ranking of suspect labels: a table, and a sheet of images for the report."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.analysis.estimate_schema import ConfidentCounting
from pipelines.analysis.intervals import Estimate
from pipelines.analysis.words import with_interval
from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.documents import Json
from pipelines.errors import UserError
from pipelines.ledger.documents import write_document
from pipelines.report.label_noise import NOISE_FILE
from pipelines.report.study_report import SUSPECTS_FILE
from pipelines.report.study_state import load_study_state
from pipelines.suspects.ranking import Suspects, count_wrong, find_suspects

SHEET = 50  # examples on the contact sheet
SHOWN = ("name", "given", "suggested", "score", "dissent", "true")  # of each of them


class Written(NamedTuple):
    """A ranking, how many labels are wrong by confident counting, and where the files are."""

    suspects: Suspects
    noise: ConfidentCounting | None
    paths: list[str]


def write_suspects(storage: str, arm: str | None, top: int | None) -> Written:
    """Write suspects.csv (the first `top` rows, or all) and suspects.json, which the report shows.

    And noise.json, unless the models that count have collapsed.

    Raises:
        UserError: as `find_suspects`; or `top` is below 1.
    """
    if top is not None and top < 1:
        raise UserError(f"--top {top}: must be at least 1")
    ledger, study_state = load_study_state(storage)
    suspects = find_suspects(ledger, study_state, arm)
    sheet = contact_sheet(suspects, load_dataset(study_state.study.protocol.data))
    files = {"suspects.csv": to_csv(suspects, top), SUSPECTS_FILE: json.dumps(sheet)}
    for name, text in files.items():
        ledger.storage.replace(name, text.encode())
    noise = count_wrong(ledger, study_state, arm)
    if noise:
        write_document(ledger.storage, NOISE_FILE, noise)
    else:
        ledger.storage.delete(NOISE_FILE)
    return Written(suspects, noise, [f"{storage.rstrip('/')}/{name}" for name in files])


def to_csv(suspects: Suspects, top: int | None = None) -> str:
    """One row per example and given label; `true` only where the study knows of wrong labels.

    `dissent` where there are several annotators.
    """
    table = io.StringIO()
    names = ["rank", "name", "given", "suggested", "score", "weight", "repeats"]
    several, told = bool(suspects.annotators), suspects.quality is not None
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(names + ["dissent"] * several + ["true"] * told)
    for rank, s in enumerate(suspects.ranking[:top], 1):
        weight = "" if math.isnan(s.weight) else f"{s.weight:.4g}"
        row: list[Any] = [rank, s.name, s.given, s.suggested, f"{s.score:.4f}", weight, s.repeats]
        against = "" if s.dissent is None else f"{s.dissent:.4g}"
        writer.writerow(row + [against] * several + [s.true or ""] * told)
    return table.getvalue()


def contact_sheet(suspects: Suspects, dataset: Dataset) -> Json:
    """The beginning of the ranking as the report shows it: labels, images where there are any."""
    first = suspects.ranking[:SHEET]
    images: list[str | None] = [None] * len(first)
    if dataset.x.ndim == 4:
        pixels = dataset.x[[s.row for s in first]]
        pixels = pixels * (255 // max(1, pixels.max()))  # digits has 17 levels: nearly black as is
        images = [_data_uri(image) for image in pixels]
    return {
        "arm": suspects.arm,
        "evidence": evidence(suspects),
        "labels": len(suspects.ranking),
        "classes": dataset.classes,
        "annotators": suspects.annotators,
        "first": [
            {name: getattr(s, name) for name in SHOWN} | {"image": image}
            for s, image in zip(first, images, strict=True)
        ],
    }


def evidence(suspects: Suspects) -> str:
    """How far the ranking can be trusted, in a sentence or two."""
    if suspects.collapsed:
        return f"Every final run of {suspects.arm} has collapsed: the ranking means nothing."
    by_heart = ""
    if suspects.ranking and suspects.ranking[0].score < 0:
        by_heart = (
            f"The models of {suspects.arm} hold every given label for the likeliest one: they may "
            "have learned them by heart, and another arm may judge better. "
        )
    return by_heart + _measured(suspects)


def _measured(suspects: Suspects) -> str:
    quality = suspects.quality
    if quality is None:
        return "No wrong label is known here, so how good the ranking is cannot be measured."
    parts = [f"AUROC {_interval(quality['auroc'])}"]
    for name in list(quality)[1:]:
        cut = name.rpartition("_")[2]
        k = f"{suspects.wrong:.0f} (as many as are wrong)" if cut == "all" else cut
        parts.append(f"precision at {k} {_interval(quality[name])}")
    n = quality["auroc"].repeats
    return (
        f"Where the truth is known ({suspects.known:.0f} labels per repeat, {suspects.wrong:.0f} "
        f"of them wrong; {n} repeats): {', '.join(parts)}."
    )


def _interval(estimate: Estimate) -> str:
    return with_interval(estimate.mean, estimate.low, estimate.high, "{:.3f}".format)


def _data_uri(pixels: NDArray[np.uint8]) -> str:
    """An image [C, H, W] as a PNG in a data URI; C is 1 or 3."""
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0).squeeze()))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"

"""What is written of a ranking of suspect labels: a table, and a page of images to look at."""

from __future__ import annotations

import base64
import csv
import io
import math
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from pipelines.dataset import Dataset
from pipelines.errors import UserError
from pipelines.records import gather
from pipelines.sources import load_dataset
from pipelines.statistics import Estimate
from pipelines.suspects import Suspect, Suspects, find_suspects

SHEET = 50  # images on the contact sheet


def write_suspects(storage: str, arm: str | None, top: int | None) -> tuple[Suspects, list[str]]:
    """Write suspects.csv (the first `top` rows, or all) and, for images, suspects.html.

    Returns the ranking, and where the files are. Raises `UserError` as `find_suspects` does.
    """
    if top is not None and top < 1:
        raise UserError(f"--top {top}: must be at least 1")
    ledger, findings = gather(storage)
    found = find_suspects(ledger, findings, arm)
    files = {"suspects.csv": to_csv(found.ranking[:top])}
    dataset = load_dataset(findings.study.protocol.data)
    if dataset.x.ndim == 4:
        files["suspects.html"] = contact_sheet(found, dataset, findings.study.name)
    for name, text in files.items():
        ledger.storage.replace(name, text.encode())
    return found, [f"{storage.rstrip('/')}/{name}" for name in files]


def to_csv(ranking: list[Suspect]) -> str:
    """One row per example and given label; `true` only where the study knows of wrong labels."""
    table = io.StringIO()
    names = ["rank", "name", "given", "suggested", "score", "weight", "repeats"]
    told = any(s.true is not None for s in ranking)
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(names + ["true"] * told)
    for rank, s in enumerate(ranking, 1):
        weight = "" if math.isnan(s.weight) else f"{s.weight:.4g}"
        row: list[Any] = [rank, s.name, s.given, s.suggested, f"{s.score:.4f}", weight, s.repeats]
        writer.writerow(row + [s.true or ""] * told)
    return table.getvalue()


def contact_sheet(suspects: Suspects, dataset: Dataset, study: str) -> str:
    """The first images of the ranking with their labels, as one self-contained HTML page."""
    environment = Environment(
        loader=PackageLoader("pipelines"), autoescape=True, undefined=StrictUndefined
    )
    first = suspects.ranking[:SHEET]
    pixels = dataset.x[[s.row for s in first]]
    pixels = pixels * (255 // max(1, pixels.max()))  # digits has 17 levels: nearly black as it is
    shown = list(zip(first, map(_data_uri, pixels), strict=True))
    return environment.get_template("suspects.html").render(
        study=study, suspects=suspects, shown=shown, evidence=evidence(suspects)
    )


def evidence(suspects: Suspects) -> str:
    """How far the ranking can be trusted, in a sentence or two."""
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


def _interval(found: Estimate) -> str:
    if math.isnan(found.high):
        return f"{found.mean:.3f} (no interval)"
    return f"{found.mean:.3f} ± {found.high - found.mean:.3f}"


def _data_uri(pixels: NDArray[np.uint8]) -> str:
    """An image [C, H, W] as a PNG in a data URI; C is 1 or 3."""
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0).squeeze()))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"

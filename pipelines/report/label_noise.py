"""How many labels are wrong where the truth is not known, and which: words and a table."""

from __future__ import annotations

from typing import cast

from pipelines.analysis.estimate_schema import (
    ConfidentCounting,
    LabelNoise,
    NoiseEstimate,
    RateJson,
)
from pipelines.analysis.label_noise import counted
from pipelines.analysis.results_schema import Results
from pipelines.analysis.words import with_interval
from pipelines.ledger.documents import read_document
from pipelines.ledger.ledger import Ledger
from pipelines.report.comparisons import Comparisons
from pipelines.report.tables import MISSING, Cell, Column
from pipelines.stored_predictions import confusion_matrix
from pipelines.trial_documents import DataDescription

NOISE_FILE = "noise.json"  # confident counting, which `suspects` writes
SHOWN = 20  # pairs of classes; results.json has all of them
TITLE = "What is labelled as what"


def label_noise(described: DataDescription | None, ledger: Ledger | None) -> LabelNoise | None:
    """What can be estimated of wrong labels under a study's own protocol; None if nothing can.

    described: the data of one of its trials. ledger: where `suspects` may have left something.
    """
    if described is None:
        return None
    estimates: LabelNoise = {"classes": described["classes"]}
    verified = described.get("verified")
    if verified is not None and (counts := confusion_matrix(verified)).any():
        estimates["verified"] = counted(counts)
    if ledger and (confident := read_document(ledger.storage, NOISE_FILE)):
        estimates["confident"] = cast(ConfidentCounting, confident)
    return estimates if len(estimates) > 1 else None


def noise_words(results: Results) -> list[str]:
    """The estimates of the rate, one phrase each."""
    estimates = results.get("label_noise")
    phrases = []
    if estimates and (verified := estimates.get("verified")):
        phrases.append(
            f"of {verified['examples']:,} verified labels {_percent(verified['rate'])} were wrong "
            "as given"
        )
    if estimates and (confident := estimates.get("confident")):
        phrases.append(confident_words(confident))
    return phrases


def confident_words(confident: ConfidentCounting) -> str:
    """What confident counting says, and by whom."""
    few = "; these models were trained on the labels, and as a rule count too few"
    few *= confident["in_sample"]
    return (
        f"by confident counting with the final models of {confident['arm']} "
        f"{_percent(confident['rate'])} of the training labels are wrong{few}"
    )


def noise_table(results: Results) -> Comparisons | None:
    """The pairs of classes that are mistaken most often; None where nothing is estimated."""
    estimates = results.get("label_noise")
    if estimates is None:
        return None
    told = {name: e for name in ("verified", "confident") if (e := estimates.get(name))}
    told = {name: cast(NoiseEstimate, e)["transition"] for name, e in told.items()}
    told = {name: matrix for name, matrix in told.items() if matrix}
    if not told:
        return None
    classes = estimates["classes"]
    rank = next(iter(told.values()))["mean"]
    pairs = [
        (share, true, given)
        for true, row in enumerate(rank)
        for given, share in enumerate(row)
        if true != given and share
    ]
    headings = {"verified": "of verified examples, %", "confident": "by confident counting, %"}
    meanings = {
        "verified": "share of the true class's verified examples that had this label, with the "
        "exact 95 % interval (Clopper-Pearson)",
        "confident": "share of the true class by confident counting, with the 95 % interval over "
        "repeats; models that were trained on these labels find too few",
    }
    rows = [
        {"true": Cell(classes[true]), "given": Cell(classes[given])}
        | {
            name: _cell(*(m[true][given] for m in (matrix["mean"], matrix["low"], matrix["high"])))
            for name, matrix in told.items()
        }
        for _, true, given in sorted(pairs, key=lambda pair: -pair[0])[:SHOWN]
    ]
    return Comparisons(
        "label-noise",
        TITLE,
        f"The {len(rows)} most frequent of the wrong labels, as a share of their true class; the "
        "whole matrices are in results.json.",
        [
            Column("true", "true class", "what the example is", numeric=False),
            Column("given", "given label", "what it is labelled as", numeric=False),
            *(Column(name, headings[name], meanings[name]) for name in told),
        ],
        rows,
    )


def _cell(mean: float | None, low: float | None, high: float | None) -> Cell:
    if mean is None:
        return Cell(MISSING)
    return Cell(_share({"mean": mean, "low": low, "high": high}), mean)


def _percent(rate: RateJson) -> str:
    """25.0 ± 3.1 %; 25.0 % (too few repeats)."""
    number, bracket, why = _share(rate).partition(" (")
    return f"{number} %{bracket}{why}"


def _share(rate: RateJson) -> str:
    low, high = (None if end is None else 100 * end for end in (rate["low"], rate["high"]))
    return with_interval(100 * rate["mean"], low, high, "{:.1f}".format)

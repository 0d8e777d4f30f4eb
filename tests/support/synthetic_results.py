"""A synthetic study and its results, shared by the tests of what results.json says."""

import json
import math
from dataclasses import replace

from pipelines.analysis.record import Course, Record, StudyInfo
from pipelines.analysis.results_schema import Pair, Results
from tests.support.synthetic import synthetic_study

RECORDS, INFO = synthetic_study()


def info_with(**changes) -> StudyInfo:
    """What the study file says, but for some entries."""
    return StudyInfo(**{**INFO, **changes})


def rising(end: float, epochs: int = 9) -> list[float]:
    """In proportion to the epochs done, so that trials rank alike at all of them."""
    return [end * (e + 1) / epochs for e in range(epochs)]


def with_courses(records=RECORDS, epochs: int = 9) -> list[Record]:
    """The synthetic study, whose trials rank at every epoch as they do in the end."""
    return [
        replace(
            r,
            course=Course(
                tuple(rising(r.val, epochs)),
                tuple(r.passes * (e + 1) / epochs for e in range(epochs)),
                epochs,
            ),
        )
        if r.role == "search"
        else r
        for r in records
    ]


def pair_of(results: Results, untuned: str, tuned: str) -> Pair:
    return next(p for p in results["pairs"] if (p["untuned"], p["tuned"]) == (untuned, tuned))


def said(results: Results) -> str:
    """The headline, as one text."""
    return " ".join(results["headline"]["sentences"])


def failed(record: Record) -> Record:
    """The same run, had it failed."""
    nothing = dict.fromkeys(record.test, math.nan)
    return replace(record, status="failed", val=math.nan, test=nothing, passes=0, seconds=math.nan)


def strict(results):
    """The results, which must be JSON without NaN."""
    return json.loads(json.dumps(results, allow_nan=False))

"""A synthetic study and its results, shared by the tests of what results.json says."""

import json
import math
from dataclasses import replace

from pipelines.analysis.record import Record, StudyInfo
from pipelines.analysis.results_schema import Pair, Results
from tests.support.synthetic import synthetic_study

RECORDS, INFO = synthetic_study()


def info_with(**changes) -> StudyInfo:
    """What the study file says, but for some entries."""
    return StudyInfo(**{**INFO, **changes})


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

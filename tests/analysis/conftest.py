"""Shared by the tests of analysis."""

import pytest

from pipelines.analysis.results import summarise
from pipelines.analysis.results_schema import Results
from tests.support.synthetic_results import INFO, RECORDS


@pytest.fixture(scope="session")
def results() -> Results:
    """The results of the synthetic study; nobody changes them."""
    return summarise(RECORDS, INFO, {"version": "1"})

"""A finished study of all kinds of arms, which the tests of the report share."""

import pytest

from pipelines.report.pages import write_report
from tests.conftest import small_study
from tests.support.synthetic_ledger import ARMS_OF_ALL_KINDS, write_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> str:
    """Its storage; the report is written."""
    study = small_study(ARMS_OF_ALL_KINDS, trials=5, seeds=2)
    storage = write_study(tmp_path_factory.mktemp("finished"), study)
    write_report(storage)
    return storage

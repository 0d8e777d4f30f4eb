"""A source that gives other data whenever it is read: no launch and no trial goes on with it."""

from typing import Any

import numpy as np
import pytest

from pipelines.data.task import prepare
from pipelines.errors import UserError
from pipelines.execution.preflight import check
from pipelines.study.protocol import Data, Protocol, Splits
from pipelines.study.study_file import parse_study


def unseeded() -> dict[str, Any]:
    y = np.arange(300) % 3
    return {"x": np.random.default_rng().normal(size=(300, 6)), "y": y}


DATA = {"source": f"{__name__}:unseeded"}
SPLITS = {"meta": 10, "val": 30, "test": 60}


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_launch_refuses_a_source_without_a_seed(repeats):
    raw = {
        "name": "unseeded",
        "protocol": {"data": DATA, "splits": SPLITS, "model": {"options": {"hidden": [4]}}},
        "request": {"arms": ["ce"], "repeats": repeats},
    }
    with pytest.raises(UserError, match="must seed its random numbers") as refusal:
        check(parse_study(raw, "unseeded"))
    assert "\n" not in str(refusal.value)


def test_a_trial_refuses_data_that_its_launch_did_not_see():
    protocol = Protocol(data=Data(**DATA), splits=Splits(**SPLITS))
    fingerprint = prepare(protocol, 7).description["fingerprint"]
    assert prepare(protocol, 7, fingerprint) is prepare(protocol, 7)
    with pytest.raises(UserError, match="gave other data when it was read again"):
        prepare(protocol, 8, fingerprint)

"""Which nodes a study's trials run on, as its request or a launch's command line says it."""

import pytest

from pipelines.errors import UserError
from pipelines.study.study_file import Study, parse_study
from tests.conftest import DIGITS


def study(**request: object) -> Study:
    raw = {"name": "small", "protocol": DIGITS, "request": {"arms": ["ce"]} | request}
    return parse_study(raw, "small.yaml")


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        ({"market-type": "spot"}, {"market-type": "spot"}),
        ("market-type=spot, ray.io/region=eu-1", {"market-type": "spot", "ray.io/region": "eu-1"}),
        ("", {}),  # any node again
    ],
)
def test_labels_are_a_mapping_or_the_text_that_ray_start_takes(given: object, labels: object):
    asked = study(labels=given).request
    assert asked.labels == labels
    assert study(**asked.model_dump()).request == asked  # as a directory remembers it


@pytest.mark.parametrize("given", ["spot", "market-type=!spot", "=spot", {"a": ""}, {"a": 1}])
def test_what_is_no_label_is_refused_by_name(given: object):
    with pytest.raises(UserError, match=r"small.yaml: request.labels"):
        study(labels=given)


def test_nodes_are_no_part_of_what_is_compared():
    assert study(labels="a=b", accelerator="H100").protocol == study().protocol

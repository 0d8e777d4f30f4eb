"""What searches may begin with, and what is told of what they may not."""

import pytest

from pipelines.errors import UserError
from pipelines.study.study_file import parse_study, with_absolute_paths
from pipelines.study.warm_start import first_configs
from tests.conftest import small_study

WHOLE = {
    "about": "a whole number",
    "kind": "tuned loss",
    "phases": [{"method": "methods.losses.generalized_cross_entropy:GeneralizedCrossEntropy"}],
    "default": {"schedule.batch_size": 50, "schedule.nesterov": False},
    "space": {
        "schedule.batch_size": {"low": 10, "high": 100, "int": True},
        "schedule.nesterov": {"choices": [True, False]},
    },
}


def begun_with(configs, arms=("gce",), **request):
    return small_study(arms, warm_start={"configs": configs}, **request)


def test_it_survives_being_written_down():
    study = begun_with({"gce": [{"q": 0.5}]})
    assert parse_study(study.model_dump(mode="json", by_alias=True), "request.json") == study
    without = small_study(["gce"])
    assert parse_study(without.model_dump(mode="json", by_alias=True), "request.json") == without


@pytest.mark.parametrize("named", ["runs/a", ["runs/a"], {"sources": ["runs/a"]}])
def test_a_directory_a_list_and_the_long_form_are_the_same(named, tmp_path):
    study = with_absolute_paths(small_study(["gce"], warm_start=named), tmp_path)
    assert study.request.warm_start.sources == [str(tmp_path / "runs/a")]
    assert study.request.warm_start.unread


def test_an_object_store_is_no_path(tmp_path):
    study = with_absolute_paths(small_study(["gce"], warm_start="s3://bucket/a"), tmp_path)
    assert study.request.warm_start.sources == ["s3://bucket/a"]


def test_each_configuration_comes_once_and_the_default_is_trial_0_already():
    configs = [{"q": 1}, {"q": 0.7}, {"q": 0.5}, {"q": 1.0}, {"q": 0.25}]
    study = begun_with({"gce": configs}, trials=9)
    first = first_configs(study.request.warm_start, "gce", study.arm("gce"), 9)
    assert first == [{"q": 1.0}, {"q": 0.5}, {"q": 0.25}] and isinstance(first[0]["q"], float)
    assert first_configs(study.request.warm_start, "gce", study.arm("gce"), 2) == first[:2]


@pytest.mark.parametrize(
    ("configs", "told"),
    [
        ({"gce": [{"q": 1.5}]}, "q = 1.5 of arm 'gce' lies outside of its search space, low: 0.05"),
        ({"gce": [{"q": "0.5"}]}, "q = '0.5' of arm 'gce' lies outside"),
        ({"gce": [{"q": True}]}, "q = True of arm 'gce' lies outside"),
        ({"gce": [{"gamma": 1}]}, "{'gamma': 1} is no configuration of arm 'gce', which has q"),
        ({"gce": [{}]}, "{} is no configuration of arm 'gce', which has q"),
        ({"sce": []}, "it has no configurations of arm 'gce', and those of sce: every tuned arm"),
        ({"gce": [{"q": float("nan")}]}, "request.warm_start.configs.gce.0.q"),
        ({"gce": {"q": 0.5}}, "request.warm_start.configs.gce"),
    ],
)
def test_what_fits_an_arm_badly_is_refused_in_one_line(configs, told):
    with pytest.raises(UserError) as error:
        begun_with(configs)
    assert told in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("value", "allowed"), [(20, True), (20.0, True), (20.5, False), (9, False), (True, False)]
)
def test_a_whole_number_is_one(value, allowed):
    raw = small_study(["gce"]).model_dump(mode="json", by_alias=True)
    raw["arms"] = {"whole": WHOLE}
    config = {"schedule.batch_size": value, "schedule.nesterov": True}
    raw["request"] |= {"arms": ["whole"], "warm_start": {"configs": {"whole": [config]}}}
    if not allowed:
        with pytest.raises(UserError, match=r"schedule\.batch_size = "):
            parse_study(raw, "own")
        return
    study = parse_study(raw, "own")
    (first,) = first_configs(study.request.warm_start, "whole", study.arm("whole"), 5)
    assert first["schedule.batch_size"] == 20 and isinstance(first["schedule.batch_size"], int)


def test_an_arm_that_is_not_tuned_needs_none():
    assert begun_with({"gce": []}, arms=("ce", "gce", "l2rw")).request.warm_start.configs

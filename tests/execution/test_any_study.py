"""Whatever stands at any place of a study: it can be launched, or one line says why not."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.commands.launch import Launch
from pipelines.commands.options import Options
from pipelines.errors import UserError
from pipelines.study.study_file import parse_study
from tests.study.test_bad_input import WHOLE, changed, places, wrong
from tests.support.damage import outcome

ATTACK = settings(deadline=None, suppress_health_check=list(HealthCheck))
changed_studies = given(path=st.sampled_from(places(WHOLE)), value=wrong)


def attack(path: tuple, value: Any, folder: Path) -> Launch | UserError:
    """All that a launch does before its first trial."""
    storage = folder / "study"
    options = Options(storage=str(storage), executor="inline", wandb="disabled", device="cpu")
    result = outcome(lambda: Launch.of(parse_study(changed(path, value), "mine.yaml"), options))
    assert isinstance(result, Launch) or not storage.exists(), "a refused study was half made"
    shutil.rmtree(storage, ignore_errors=True)
    return result


def test_the_study_that_is_changed_below_can_be_launched(tmp_path):
    assert isinstance(attack(("name",), "mine", tmp_path), Launch)


@settings(ATTACK, max_examples=40)
@changed_studies
def test_any_value_at_any_place_can_be_launched_or_is_told(path, value, tmp_path):
    attack(path, value, tmp_path)


@pytest.mark.slow
@settings(ATTACK, max_examples=400)
@changed_studies
def test_many_values_at_any_place_can_be_launched_or_are_told(path, value, tmp_path):
    attack(path, value, tmp_path)

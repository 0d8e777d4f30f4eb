"""A kind of arms is one entry: it is allowed in a study file, drawn, and put on its side."""

import pytest

from pipelines.analysis.results import summarise
from pipelines.kinds import KINDS, Kind
from pipelines.report.figures.plot import styles
from pipelines.study.arms import resolve_arm
from tests.support.synthetic import ARMS, SyntheticArm, synthetic_study

PHASE = {"method": "methods.losses.cross_entropy:CrossEntropy"}
CURRICULUM = "self-paced"


@pytest.fixture(autouse=True)
def entry(monkeypatch):
    monkeypatch.setitem(KINDS, CURRICULUM, Kind("#123456", "self-tuning"))


def test_a_study_file_may_name_it():
    own = {"mine": {"about": "easy first", "kind": CURRICULUM, "phases": [PHASE]}}
    assert resolve_arm("mine", own).kind == CURRICULUM


def test_figures_draw_it_in_its_colour():
    assert styles({"mine": CURRICULUM})["mine"].colour == "#123456"


def test_the_headline_takes_its_side():
    arms = (*ARMS[:5], SyntheticArm("mine", CURRICULUM, 0.925))
    results = summarise(*synthetic_study(arms))
    assert results["headline"]["untuned"] == "mine"
    assert {pair["untuned"] for pair in results["controls"]} == {"mine"}

"""Every study of the suite is valid, runs wherever its data are, and is in the table of sets."""

import os

import pytest

from benchmarks.evidence.sets import REAL, SETS, sets_named
from benchmarks.evidence.suite import RATES, Rated, refuse_missing_data
from pipelines.errors import UserError
from pipelines.planning.specs import data_seed


@pytest.fixture(autouse=True)
def data(monkeypatch, tmp_path):
    monkeypatch.setenv("UNTUNED_DATA", str(tmp_path))
    for entry in SETS.values():
        entry.__dict__.pop("study", None)  # read under another test's variable
    yield tmp_path
    for entry in SETS.values():
        entry.__dict__.pop("study", None)


def test_the_table_names_the_files_that_there_are():
    assert set(SETS) == {path.stem for path in REAL.glob("*.yaml")}
    assert len(sets_named([], "main")) >= 10


@pytest.mark.parametrize("name", SETS)
def test_a_study_is_valid_and_its_data_are_in_the_folder_of_its_set(name, data):
    entry = SETS[name]
    study = entry.study
    assert study.name == name and study.about and not study.request.curve
    assert study.request.seeds >= 2, "the rule for the rate needs another run of the repeat"
    assert "ce" in study.request.arms and "finetune_long" in study.request.arms
    if entry.part != "axes":
        assert study.request.repeats >= 5 and not study.request.axes
    path = study.protocol.data.path
    assert (path is None) == (entry.data == "")
    assert path is None or path.is_relative_to(data / entry.data)
    text = entry.file.read_text()
    assert f"path: {os.sep}" not in text and "file: /" not in text


def test_every_kind_of_data_and_of_trouble_is_among_the_judging_sets():
    judging = [e for e in sets_named([], "main") if not e.development]
    assert {e.modality for e in judging} == {"images", "table", "texts"}
    assert {e.noise for e in judging} == {"none", "artificial", "real"}
    assert {(e.noise == "none", e.unequal) for e in judging} >= {
        (True, True),
        (True, False),
        (False, True),
        (False, False),
    }


def test_three_rates_share_splits_and_noise_and_differ_in_nothing_else(tmp_path):
    studies = [Rated(SETS["digits"], rate, tmp_path).study() for rate in RATES]
    assert [s.protocol.schedule.lr for s in studies] == pytest.approx([0.05, 0.0125, 0.2])
    assert len({s.name for s in studies}) == 3
    assert len({data_seed(s, 2) for s in studies}) == 1
    without = [
        s.protocol.model_copy(
            update={"schedule": s.protocol.schedule.model_copy(update={"lr": 1.0})}
        )
        for s in studies
    ]
    assert without[0] == without[1] == without[2]


def test_unknown_sets_and_missing_data_are_one_line(monkeypatch, data):
    with pytest.raises(UserError, match=r"set 'trek': .*did you mean 'trec'"):
        sets_named(["trek"])
    with pytest.raises(UserError, match="set 'trec': there is no 'trec' in"):
        refuse_missing_data([SETS["digits"], SETS["trec"]])
    (data / "trec").mkdir()
    refuse_missing_data([SETS["digits"], SETS["trec"]])
    monkeypatch.delenv("UNTUNED_DATA")
    with pytest.raises(UserError, match="UNTUNED_DATA is not set"):
        refuse_missing_data([SETS["trec"]])

"""The lines that `best` prints load the model, wherever the study is."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import untuned
from pipelines.commands import best as module
from pipelines.report.study_state import load_study_state
from tests.conftest import small_study
from tests.support.synthetic_ledger import write_study


def test_on_a_terminal_they_stand_by_themselves_and_hold_in_any_folder(
    tmp_path, monkeypatch, capsys
):
    there = write_study(tmp_path, small_study(("ce", "gce")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    module.show_best(str(Path(there).relative_to(tmp_path)), "ce")
    document, lines = capsys.readouterr().out.split("\n\n")
    shown = json.loads(document)
    assert lines.splitlines() == shown["predict"]
    asked: list[str] = []
    monkeypatch.setattr(untuned, "load_model", asked.append)
    exec("\n".join(shown["load"]), {})
    assert asked == [str(tmp_path / shown["checkpoint"])]


@pytest.mark.parametrize("storage", ["s3://bucket/study", "az://container/a'b"])
def test_of_a_study_in_an_object_store_they_ask_the_study_for_it(
    tmp_path, monkeypatch, capsys, storage: str
):
    there = write_study(tmp_path, small_study(("ce", "gce")))
    monkeypatch.setattr(module, "load_study_state", lambda _: load_study_state(there))
    module.show_best(storage, "ce")
    shown = json.loads(capsys.readouterr().out)
    study = SimpleNamespace(load_model=lambda key: ("the model of", key))
    monkeypatch.setattr(untuned, "open_study", lambda place: {storage: study}[place])
    names: dict[str, object] = {}
    exec("\n".join(shown["load"]), names)
    assert names["model"] == ("the model of", shown["trial"])

"""What ends a command before anything of it has begun."""

import json

import pytest

import run_sweep
from pipelines.errors import UserError
from pipelines.report.study_state import load_study_state
from tests.conftest import small_study
from tests.support.synthetic_ledger import write_study


def test_ctrl_c_before_anything_runs_is_one_line_and_130(monkeypatch, capsys):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_sweep, "app", interrupted)
    with pytest.raises(SystemExit) as ended:
        run_sweep.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_another_file_in_place_of_the_request_is_told_in_one_line(tmp_path):
    storage = write_study(tmp_path, small_study())
    (tmp_path / "request.json").write_text(json.dumps({"arms": {}, "metric": "accuracy"}))
    with pytest.raises(UserError, match=r"request\.json is damaged or gone"):
        load_study_state(storage)

"""Configurations of other studies and of other tools: read once, and refused where they mislead."""

import json
import shutil
from pathlib import Path

import optuna
import pytest
import yaml

from pipelines.commands.warm_start import with_warm_start
from pipelines.errors import UserError
from pipelines.report.study_report import study_report
from pipelines.report.study_state import load_study_state
from pipelines.study.study_file import Study, parse_study
from pipelines.tracking.optuna_storage import write_optuna_storage
from tests.commands.test_commands import LAUNCH, run, study_file
from tests.conftest import DIGITS, small_study
from tests.report.test_fronts import outcome as falls_with_q
from tests.report.test_fronts import study as two_aims
from tests.support.synthetic_ledger import write_study

DATA = "data"  # the fingerprint of synthetic studies
SOURCE = small_study(("ce", "gce", "sce"), trials=3, repeats=2)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> str:
    """A finished study of the same data and the same test split."""
    return write_study(tmp_path_factory.mktemp("source"), SOURCE)


def begun(source: object, arms=("gce", "sce"), **protocol) -> Study:
    raw = small_study(arms, trials=3, warm_start=source).model_dump(mode="json", by_alias=True)
    raw["protocol"] |= protocol
    return parse_study(raw, "small")


def selected(storage: str, arm: str) -> list[dict]:
    """By an independent look at the results: the best on val of each repeat."""
    trials = [t for t in load_study_state(storage)[1].trials.values() if t.spec["arm"] == arm]
    found = []
    for repeat in range(2):
        searched = [t for t in trials if t.spec["role"] == "search" and t.spec["repeat"] == repeat]
        best = max(searched, key=lambda t: (t.result["val"]["last"], -t.spec["index"]))
        found.append(best.spec["config"])
    return found


def distinct(configs: list[dict]) -> list[dict]:
    return [c for i, c in enumerate(configs) if c not in configs[:i]]


def test_they_are_what_the_searches_of_the_other_study_selected_on_val(source, tmp_path):
    study = with_warm_start(begun(source), str(tmp_path / "new"), DATA)
    configs = study.request.warm_start.configs
    assert configs == {arm: selected(source, arm) for arm in ("gce", "sce")}
    assert study.request.warm_start.sources == [source]


def test_what_decides_is_val_whatever_test_says(source, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(source, other)
    for path in other.glob("trials/*/result.json"):
        result = json.loads(path.read_text())
        del result["digest"]
        result["held_out"]["score"] = {"last": 1 - result["val"]["last"], "selected": 0.0}
        path.write_text(json.dumps(result))
    shutil.rmtree(other / "index", ignore_errors=True)
    one, two = (with_warm_start(begun(str(s)), "new", DATA) for s in (source, other))
    assert one.request.warm_start.configs == two.request.warm_start.configs


def test_they_are_read_once(source, tmp_path):
    gone = tmp_path / "gone"
    shutil.copytree(source, gone)
    study = with_warm_start(begun(str(gone)), str(tmp_path / "new"), DATA)
    write_study(tmp_path / "new", study, limit=3)
    shutil.rmtree(gone)
    again = with_warm_start(begun(str(gone)), str(tmp_path / "new"), DATA)
    assert again == study
    with pytest.raises(UserError, match="gone"):
        with_warm_start(begun(str(gone)), str(tmp_path / "another"), DATA)


def test_the_trials_of_a_study_that_goes_on_are_the_same_and_the_page_tells_of_them(
    source, tmp_path
):
    study = with_warm_start(begun(source), str(tmp_path), DATA)
    write_study(tmp_path, study, limit=7)
    storage = write_study(tmp_path, study)
    report = study_report(storage)
    records = [r for r in report.study_state.records if (r.arm, r.role) == ("gce", "search")]
    given = study.request.warm_start.configs["gce"]
    distinct = [c for i, c in enumerate(given) if c not in given[:i] and c != {"q": 0.7}]
    for repeat in (0, 1):
        own = {r.index: r.config for r in records if r.repeat == repeat}
        assert len(own) == 4 and [own[i + 1] for i in range(len(distinct))] == distinct
    arm = report.results["arms"]["gce"]
    assert distinct and arm["warm_start"] == len(distinct)
    assert arm["budget"]["kind"] == "incumbents" and "early_stopping" not in arm
    assert f"first come configurations from {Path(source).name}: gce {len(distinct)}" in (
        report.set_up.search
    )


@pytest.mark.parametrize(
    ("arms", "protocol", "fingerprint", "told"),
    [
        (("gce", "focal"), {}, DATA, "no configurations of arm 'focal', and those of gce, sce"),
        (("gce",), {"seed": 1}, DATA, "another draw of test examples (splits.test, seed = "),
        (("gce",), {"seed": 1}, "other labels", "and other labels): configurations were selected"),
        (("gce",), {"splits": DIGITS["splits"] | {"test": 400}}, DATA, "give it the same test"),
    ],
)
def test_a_source_that_would_mislead_is_refused_in_one_line(
    source, tmp_path, arms, protocol, fingerprint, told
):
    with pytest.raises(UserError) as error:
        with_warm_start(begun(source, arms, **protocol), str(tmp_path / "new"), fingerprint)
    assert told in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()


def test_other_data_may_have_any_test_split(source, tmp_path):
    other = begun(source, data={"source": "wine"}, splits={"meta": 9, "val": 9, "test": 20})
    assert with_warm_start(other, "new", "wine").request.warm_start.configs


def test_a_study_is_not_its_own_source(source):
    with pytest.raises(UserError, match="is this study's own directory"):
        with_warm_start(begun(source), source, DATA)


def test_a_file_of_configurations_is_as_good_and_its_mistakes_are_told(tmp_path):
    file = tmp_path / "found.yaml"
    file.write_text("gce: [{q: 0.5}]\nsce: [{alpha: 1.0, beta: 2}]\n")
    study = with_warm_start(begun(str(file)), "new", DATA)
    assert study.request.warm_start.configs == {
        "gce": [{"q": 0.5}],
        "sce": [{"alpha": 1.0, "beta": 2}],
    }
    for text, told in (
        ("gce: {q: 0.5}", "configs.gce = {'q': 0.5}"),
        ("- gce", "expected keys and values, found list"),
        ("gce: [{q: 9}]\nsce: []", "q = 9 of arm 'gce' lies outside of its search space"),
    ):
        file.write_text(text)
        with pytest.raises(UserError) as error:
            with_warm_start(begun(str(file)), "new", DATA)
        assert told in str(error.value) and "\n" not in str(error.value)


def imported(capsys, *args) -> tuple[int, str, str]:
    status = run("import", *args)
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize("kind", ["log", pytest.param("db", marks=pytest.mark.slow)])
def test_an_export_comes_back_as_configurations(source, tmp_path, capsys, kind):
    path, _ = write_optuna_storage(source, tmp_path / f"all.{kind}")
    before = path.read_bytes()
    file = study_file(tmp_path, request={"arms": ["gce", "sce"], "trials": 2})
    status, said, _ = imported(capsys, file, "--from", path, "--best", 1)
    assert status == 0 and path.read_bytes() == before
    assert yaml.safe_load(said) == {a: distinct(selected(source, a)) for a in ("gce", "sce")}


def test_a_study_of_optunas_own_is_taken_by_its_direction_and_within_the_space(tmp_path, capsys):
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "mine.log"))
    )
    study = optuna.create_study(storage=storage, direction="minimize")
    space = {"q": optuna.distributions.FloatDistribution(0, 9)}
    for q, loss in ((0.4, 0.3), (0.6, 0.1), (5.0, 0.0), (0.8, 0.2)):
        study.add_trial(optuna.create_trial(params={"q": q}, distributions=space, value=loss))
    file = study_file(tmp_path, request={"arms": ["gce"]})
    status, said, warned = imported(
        capsys, file, "--from", tmp_path / "mine.log", "--arm", "gce", "--best", 2
    )
    assert status == 0 and yaml.safe_load(said) == {"gce": [{"q": 0.6}, {"q": 0.8}]}
    assert "1 of 4 trials lie outside of the search space" in warned
    status, _, warned = imported(capsys, file, "--from", tmp_path / "mine.log")
    assert status == 2 and "it does not say of which arm it is: give --arm" in warned


def test_of_several_objectives_of_an_optuna_study_one_is_named(tmp_path, capsys):
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "two.log"))
    )
    study = optuna.create_study(storage=storage, directions=["maximize", "minimize"])
    space = {"q": optuna.distributions.FloatDistribution(0, 1)}
    for q, values in ((0.4, (0.9, 30)), (0.6, (0.7, 10)), (0.8, (0.8, 20))):
        study.add_trial(optuna.create_trial(params={"q": q}, distributions=space, values=values))
    file = study_file(tmp_path, request={"arms": ["gce"]})
    options = ("--from", tmp_path / "two.log", "--arm", "gce", "--best", 2)

    def found(*more: str) -> object:
        status, said, warned = imported(capsys, file, *options, *more)
        return yaml.safe_load(said)["gce"] if status == 0 else (status, warned)

    assert found("--metric", "values_0") == [{"q": 0.4}, {"q": 0.8}]
    assert found("--metric", "values_1") == [{"q": 0.6}, {"q": 0.8}]
    told = "error: --metric must name one of the objectives of the Optuna study 'no-name-"
    for more in ((), ("--metric", "accuracy")):
        status, warned = found(*more)
        assert status == 2 and warned.startswith(told)
        assert warned.endswith(": values_0, values_1\n")
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["accuracy", "seconds"])
    assert found("--metric", "seconds") == [{"q": 0.6}, {"q": 0.8}]


def test_an_export_of_a_search_by_two_aims_comes_back_by_val(tmp_path, capsys):
    """The recall of whose worst class falls as val rises."""
    asked = two_aims(("gce",), second_aim="worst_class_recall")
    two = write_study(tmp_path / "two", asked, falls_with_q)
    path, _ = write_optuna_storage(two, tmp_path / "two.log")
    file = study_file(tmp_path, request={"arms": ["gce"]})
    status, said, _ = imported(capsys, file, "--from", path, "--best", 1)
    assert (status, yaml.safe_load(said)) == (0, {"gce": distinct(selected(two, "gce"))})


def test_an_experiment_of_ray_tunes_is_taken_by_the_last_value_of_those_that_did_not_fail(
    tmp_path, capsys
):
    trials = {
        "a": (0.4, [0.9, 0.5]),
        "b": (0.6, [0.1, 0.7]),
        "failed": (0.8, [0.99]),
        "c": (0.9, []),
    }
    for name, (q, vals) in trials.items():
        folder = tmp_path / "experiment" / name
        folder.mkdir(parents=True)
        (folder / "params.json").write_text(json.dumps({"q": q, "lr": 0.1}))
        lines = [json.dumps({"val": {"accuracy": v}}) + "\n" for v in vals]
        (folder / "result.json").write_text("".join(lines))
    (tmp_path / "experiment/failed/error.txt").write_text("out of memory")
    file = study_file(tmp_path, request={"arms": ["gce"]})
    options = ("--from", tmp_path / "experiment", "--arm", "gce", "--metric", "val.accuracy")
    assert yaml.safe_load(imported(capsys, file, *options)[1]) == {"gce": [{"q": 0.6}, {"q": 0.4}]}
    lowest = imported(capsys, file, *options, "--lowest", "--best", 1)[1]
    assert yaml.safe_load(lowest) == {"gce": [{"q": 0.4}]}


def test_a_table_has_a_column_for_each_hyperparameter_and_rows_without_a_score_are_passed_over(
    tmp_path, capsys
):
    (tmp_path / "runs.csv").write_text(
        "Name,alpha,params_beta,val/accuracy,test\na,1,2,0.5,1\nb,2,1,,1\nc,0.5,1.5,0.6,0\n"
    )
    file = study_file(tmp_path, request={"arms": ["sce"]})
    options = ("--from", tmp_path / "runs.csv", "--arm", "sce", "--metric")
    _, said, _ = imported(capsys, file, *options, "val/accuracy")
    assert yaml.safe_load(said) == {
        "sce": [{"alpha": 0.5, "beta": 1.5}, {"alpha": 1.0, "beta": 2.0}]
    }
    for metric, told in (
        ("test", "labels of a test set choose nothing"),
        ("val", "has no such column; it has Name, alpha, params_beta, val/accuracy, test"),
        ("Name", "no trial in it has a number for 'Name'"),
    ):
        status, _, warned = imported(capsys, file, *options, metric)
        assert status == 2 and told in warned and warned.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--from", "none.db"), "there is no such file"),
        (("--from", "none.csv", "--metric", "val"), "cannot be read"),
        (("--from", "x.csv"), "--metric must say which score is compared"),
        (("--from", "x.db", "--lowest"), "an Optuna study says itself what is best"),
        (("--from", "broken.log"), "none of its 0 finished trials is a configuration"),
        pytest.param(("--from", "broken.db"), "cannot be read", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_imported_is_told_in_one_line(tmp_path, capsys, monkeypatch, options, told):
    file = study_file(tmp_path, request={"arms": ["gce"]})
    monkeypatch.chdir(tmp_path)
    for name in ("broken.log", "broken.db"):
        Path(name).write_text("no database")
    status, said, warned = imported(capsys, file, *options)
    assert (status, said) == (2, "") and told in warned and warned.count("\n") == 1


@pytest.mark.slow
def test_a_launch_begins_with_what_another_one_selected(tmp_path, capsys):
    first = study_file(tmp_path, request={"arms": ["gce"], "trials": 2, "repeats": 1, "seeds": 1})
    assert run("launch", first, "--storage", tmp_path / "first", *LAUNCH) == 0
    chosen = json.loads((tmp_path / "first/results.json").read_text())["arms"]["gce"]["selected"]
    request = {"arms": ["gce"], "trials": 2, "repeats": 1, "seeds": 1, "warm_start": "first"}
    schedule = DIGITS["schedule"] | {"lr": 0.02}
    study_file(tmp_path, request=request, protocol=DIGITS | {"schedule": schedule})
    assert run("launch", first, "--storage", tmp_path / "second", *LAUNCH) == 0
    shutil.rmtree(tmp_path / "first")
    assert run("launch", first, "--storage", tmp_path / "second", "--trials", "3", *LAUNCH) == 0
    trials = load_study_state(str(tmp_path / "second"))[1].trials.values()
    searched = {t.spec["index"]: t.spec for t in trials if t.spec["role"] == "search"}
    default = chosen[0]["config"] == {"q": 0.7}
    assert len(searched) == 4
    assert default or searched[1]["config"] == chosen[0]["config"]

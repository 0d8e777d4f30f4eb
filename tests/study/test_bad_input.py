"""Whatever a study file holds: it is a study, or one line says what is wrong with it."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.errors import UserError
from pipelines.study.study_file import Study, load_study, parse_study
from pipelines.study.yaml_file import DEEPEST, parse_yaml

WHOLE = {
    "name": "s",
    "about": "",
    "protocol": {
        "data": {"source": "digits", "target": "label", "labels": None},
        "noise": {"kind": "flip", "rate": 0.4},
        "imbalance": {"kind": "step", "factor": 10},
        "splits": {"meta": 50, "val": 50, "test": 100, "val_labels": "clean"},
        "augment": "none",
        "model": {"name": "mlp", "options": {"hidden": [8]}},
        "schedule": {"epochs": 3, "lr": 0.1, "milestones": [0.5], "clip": None},
        "metric": "accuracy",
        "epoch": "last",
        "threads": 1,
        "seed": 0,
    },
    "request": {
        "arms": ["ce", "mine"],
        "trials": 1,
        "repeats": 1,
        "seeds": 1,
        "sensitivity": ["mine"],
        "axes": {"noise.rate": [0.2]},
        "margin": 0.01,
    },
    "arms": {
        "mine": {
            "about": "mine",
            "kind": "meta-learned weights",
            "phases": [
                {
                    "name": "train",
                    "method": "methods.meta.meta_weight_net:MetaWeightNet",
                    "hyperparameters": {"normalize": True},
                    "pool": "train",
                    "epochs": 1.0,
                    "schedule": {"lr": 0.1},
                    "meta": {"engine": "forward", "every": 1, "lr": 1e-3},
                }
            ],
            "default": {"hidden": 10},
            "space": {"hidden": {"low": 1, "high": 100, "log": True, "int": True}},
            "knobs": ["schedule.lr", "meta.lr"],
        }
    },
}


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The way to every value in nested groups and lists."""
    if not isinstance(value, dict | list):
        return [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [*([path] if path else []), *(p for k, v in inner for p in places(v, (*path, k)))]


def changed(path: tuple, value: Any) -> dict:
    raw = copy.deepcopy(WHOLE)
    target = raw
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    return raw


TEXTS = ["", "é", "ß", "ⅷ", "ª", "a" * 200, "\0", "../x", "x:y", "builtins:dict", "os:nothing"]
NUMBERS = [0, -1, 1, 2**70, 1e308, 1e29, -0.5, 0.3, float("nan"), float("inf"), True]
GROUPS = [None, [], {}, [None], [[1]], {"": 1}, {"kind": "flip"}, {1: 2}, ["ce", "ce"]]
wrong = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from(NUMBERS),
    st.sampled_from(GROUPS),
    st.text(),
    st.floats(),
)


def refused_or_valid(raw: dict) -> None:
    try:
        assert isinstance(parse_study(raw, "mine.yaml"), Study)
    except UserError as error:
        assert str(error).startswith("mine.yaml: ")
        assert len(str(error).splitlines()) == 1


def test_the_study_that_is_changed_below_is_valid():
    assert parse_study(WHOLE, "mine.yaml").arm("mine").tuned


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(path=st.sampled_from(places(WHOLE)), value=wrong)
def test_any_value_in_any_place_is_allowed_or_told_in_one_line(path: tuple, value: Any):
    refused_or_valid(changed(path, value))


@settings(max_examples=200, deadline=None)
@given(path=st.sampled_from(places(WHOLE)), key=st.one_of(st.text(max_size=8), st.integers()))
def test_any_other_key_in_any_group_is_allowed_or_told_in_one_line(path: tuple, key: Any):
    group = path[:-1]
    raw = copy.deepcopy(WHOLE)
    target = raw
    for part in group:
        target = target[part]
    if isinstance(target, dict):
        target[key] = 1
    refused_or_valid(raw)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"choices": None}, "choices = None: must be a list"),
        ({"choices": []}, r"choices = \[\]: must be a list of at least one"),
        ({"choices": [[1]]}, r"choices: \[1\] is no number"),
        ({"choices": [1], "low": 0}, "choices exclude low"),
        ({"low": "a", "high": 1}, "low = 'a': must be a number"),
        ({"low": 1, "high": float("inf")}, "high = inf: must be finite"),
        ({"low": 1, "high": 2, "log": "maybe"}, "log = 'maybe': must be true or false"),
        ({"low": 0, "high": 2, "log": True}, "low = 0: with log, must be above 0"),
        ({"low": 3, "high": 2}, "low = 3 is above high = 2"),
    ],
)
def test_a_range_that_is_none_is_told(space: dict, message: str):
    with pytest.raises(UserError, match=rf"mine.yaml: arm 'mine': space.hidden: {message}"):
        parse_study(changed(("arms", "mine", "space", "hidden"), space), "mine.yaml")


@pytest.mark.parametrize("name", ["é", "ßa", "ⅷ", "ª", "A", "a b", "a-b", "", "a" * 65])
def test_an_arms_name_has_letters_of_ascii(name: str):
    raw = changed(("request", "arms"), [name])
    raw["request"]["sensitivity"] = []
    raw["arms"] = {name: raw["arms"]["mine"]}
    with pytest.raises(UserError, match="a name has lower-case letters of ASCII"):
        parse_study(raw, "mine.yaml")


@pytest.mark.parametrize(
    ("knob", "message"),
    [("nothing", "'nothing': None is not a number"), ("pool", "'pool': 'train' is not a number")],
)
def test_a_knob_that_cannot_be_moved_is_told_before_anything_is_written(knob: str, message: str):
    with pytest.raises(UserError, match=f"request.sensitivity: arm 'mine': knob {message}"):
        parse_study(changed(("arms", "mine", "knobs"), [knob]), "mine.yaml")


@pytest.mark.parametrize(
    ("place", "key", "message"),
    [
        (("protocol", "schedule"), "epoch", "allowed are epochs, .*; did you mean 'epochs'?"),
        (("request",), "repeat", "did you mean 'repeats'?"),
        ((), "protocl", "did you mean 'protocol'?"),
    ],
)
def test_an_unknown_key_is_answered_with_those_that_there_are(place, key, message):
    with pytest.raises(UserError, match=rf"{key}: Extra inputs are not permitted; .*{message}"):
        parse_study(changed((*place, key), 1), "mine.yaml")


def test_an_unknown_arm_is_answered_with_the_one_that_is_meant():
    with pytest.raises(UserError, match=r"arm 'gcee' is unknown; there are .*; did you mean 'gce'"):
        raw = changed(("request",), {"arms": ["gcee"]})
        parse_study(raw, "mine.yaml")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Mine(:\n", "SyntaxError"),
        ("import sys\nsys.exit(3)\n", "SystemExit"),
        ("raise KeyError('x')\n", "KeyError"),
        ("from methods.objective import Objective\nMine = dict\n", "not a subclass"),
        (
            "from methods.losses.cross_entropy import CrossEntropy\n"
            "class Mine(CrossEntropy):\n    def __init__(self):\n        1 / 0\n",
            "its constructor fails: ZeroDivisionError",
        ),
    ],
)
def test_whatever_a_method_of_the_users_own_does_when_it_is_loaded_is_told(
    tmp_path: Path, monkeypatch, source: str, message: str
):
    module = f"mine_{abs(hash(source))}"
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    own = {"about": "mine", "kind": "plain", "phases": [{"method": f"{module}:Mine"}]}
    raw = changed(("arms", "mine"), own)
    raw["request"]["sensitivity"] = []
    with pytest.raises(UserError, match=rf"\Amine.yaml: arm 'mine': [^\n]*{message}[^\n]*\Z"):
        parse_study(raw, "mine.yaml")


BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "more than 100,000 values"),
        ("a: &a [*a]\n", "an alias that stands for a group it lies in"),
        ("a: &a {b: *a}\n", "an alias that stands for a group it lies in"),
        ("[" * (DEEPEST + 5) + "]" * (DEEPEST + 5), f"more than {DEEPEST} deep"),
        ("[" * 5000 + "]" * 5000, f"more than {DEEPEST} deep"),
        ("a: !!timestamp 2001-99-99\n", "month must be in 1..12"),
        ("a: !!int ''\n", "cannot be read"),
        ("a: !!python/object:os.system x\n", "could not determine a constructor"),
        ("a: 1\na: 2\n", "'a' is given twice"),
        ("a: [1\n", "cannot be read"),
        ("- 1\n", "expected keys and values, found list"),
        ("", "expected keys and values, found NoneType"),
        ("\0", "cannot be read"),
    ],
)
def test_yaml_that_is_no_study_is_told_in_one_line(text: str, message: str):
    with pytest.raises(UserError, match=rf"\Amine.yaml[^\n]*{message}[^\n]*\Z"):
        parse_yaml(text, "mine.yaml")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_study_file_with_bytes_changed_is_read_or_told_in_one_line(data, tmp_path_factory):
    text = bytearray(yaml.safe_dump(WHOLE).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed.yaml"
    path.write_bytes(bytes(text[: data.draw(st.integers(1, len(text)))]))
    try:
        load_study(str(path))
    except UserError as error:
        assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("path", ["a\0b", "loop", "~nobody_at_all/d", "a" * 5000])
def test_a_path_that_leads_nowhere_is_for_its_reader_to_tell(path: str, tmp_path: Path):
    (tmp_path / "loop").symlink_to("loop")
    data = {"source": "arrays", "path": path, "labels": {"file": path}}
    raw = {"protocol": {"data": data}, "request": {"arms": ["ce"]}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw))
    read = load_study(str(tmp_path / "mine.yaml")).protocol.data
    assert read.path is not None and read.path.is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        ("schedule", {"steps": 5}, "protocol.schedule: epochs = 3 and steps = 5: give one"),
        ("noise", {"kind": "none"}, "protocol.noise: rate = 0.4 without a kind of noise"),
        (
            "model",
            {"name": "pretrained", "options": {"timm": "a", "own": "b:c"}},
            "protocol: model.options: name one network, by one of torchvision, timm, transformers, "
            "own; found timm and own",
        ),
    ],
)
def test_what_is_wrong_between_several_keys_is_said_without_the_whole_block(place, change, message):
    raw = copy.deepcopy(WHOLE)
    raw["protocol"][place].update(change)
    with pytest.raises(UserError) as error:
        parse_study(raw, "s.yaml")
    assert str(error.value) == f"s.yaml: {message}"

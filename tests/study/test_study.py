"""Study files: what is allowed, how identity is computed, what a user's mistake looks like."""

import pytest
import yaml

from pipelines.errors import UserError
from pipelines.study.protocol import Protocol, protocol_hash
from pipelines.study.study_file import load_study, parse_study, studies
from tests.conftest import DIGITS, small_study

MISTAKES = [
    ({"protocol": {"epochs": 3}}, r"protocol\.epochs: Extra inputs"),
    ({"protocol": {"noise": {"kind": "flop"}}}, r"protocol\.noise\.kind = 'flop'.*'symmetric'"),
    (
        {"protocol": {"noise": {"rate": 1.5}}},
        r"protocol\.noise\.rate = 1\.5.*less than or equal to 1",
    ),
    ({"protocol": {"noise": {"rate": 0.4}}}, "rate = 0.4 without a kind"),
    (
        {"protocol": {"metric": "f1"}},
        r"protocol\.metric = 'f1'.*'accuracy', .* or 'robust_",
    ),
    ({"protocol": {"imbalance": {"factor": 10}}}, "factor = 10.0 without a kind"),
    ({"protocol": {"schedule": {"lr": 0}}}, r"protocol\.schedule\.lr = 0.*greater than 0"),
    ({"protocol": {"schedule": {"nesterov": True, "momentum": 0}}}, "nesterov needs momentum"),
    ({"protocol": {"schedule": {"milestones": [0.8, 0.5]}}}, "must rise"),
    ({"request": {"arms": []}}, r"request\.arms = \[\].*at least 1"),
    ({"request": {"arms": ["ce", "ce"]}}, "named twice: ce"),
    ({"request": {"arms": ["cee"]}}, "arm 'cee' is unknown; there are ce, "),
    ({"request": {"arms": ["ce"], "trials": "many"}}, r"request\.trials = 'many'.*integer"),
    ({"request": {"arms": ["ce"], "arm": 1}}, r"request\.arm: Extra inputs"),
    ({"request": {"arms": ["ce"], "axes": {"noise.rat": [1]}}}, r"noise\.rat: Extra inputs"),
    ({"request": {"arms": ["ce"], "axes": {"noise.rate": [2]}}}, r"axes: noise\.rate = 2"),
    ({"request": {"arms": ["ce"], "axes": {"epochs.x": [2]}}}, "no entry 'epochs.x'"),
    ({"request": {"arms": ["ce"], "sensitivity": ["gce"]}}, "'gce' is not among the arms"),
    ({"name": "../x"}, r"name = '\.\./x'"),
    ({"protocol": {"schedule": {"lr": float("inf")}}}, r"protocol\.schedule\.lr = inf.*finite"),
    ({"protocol": {"threads": 100_000}}, r"protocol\.threads = 100000.*1024"),
    ({"request": {"arms": ["ce"], "axes": {"noise.rate": []}}}, "axes.*no values for noise.rate"),
    ({"request": {"arms": ["ce"], "axes": {"splits.test": [10]}}}, "axes.*splits.test: all of a"),
    ({"arms": {"ce": {"about": "mine"}}}, "arm 'ce': search_spaces/arms has one of this name"),
]

GCE = "methods.losses.generalized_cross_entropy:GeneralizedCrossEntropy"
SPACES = [
    ({"low": 0.1, "high": 5}, "at q = 5.0: .*must lie in"),
    ({"low": -1, "high": 0.5}, "at q = -1.0: .*must lie in"),
    ({"choices": [0.5, "x"]}, "at q = 'x': .*GeneralizedCrossEntropy: "),
    ({"low": 0.1, "high": 1, "int": True}, r"space\.q: low and high = \[0\.1, 1\].*whole"),
]


def with_arm(**changes):
    phase = {"method": GCE} | changes.pop("phase", {})
    arm = {"about": "mine", "kind": "tuned loss", "phases": [phase], "default": {"q": 0.5}}
    own = {"mine": arm | changes}
    return {"name": "s", "protocol": DIGITS, "request": {"arms": ["mine"]}, "arms": own}


@pytest.mark.parametrize(("space", "message"), SPACES)
def test_what_a_search_would_meet_is_met_before_it_starts(space, message):
    assert parse_study(with_arm(space={"q": {"low": 0.1, "high": 1.0}}), "s")
    with pytest.raises(UserError, match=rf"\As: arm 'mine'[^\n]*{message}[^\n]*\Z"):
        parse_study(with_arm(space={"q": space}), "s")


def test_what_a_phase_changes_of_the_schedule_must_be_allowed():
    message = r"\As: arm 'mine': schedule\.lr = -1: [^\n]*greater than 0\Z"
    with pytest.raises(UserError, match=message):
        parse_study(with_arm(phase={"schedule": {"lr": -1}}), "s")


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_a_mistake_is_named_with_key_value_and_what_is_allowed(change, message):
    raw = {"name": "s", "protocol": {}, "request": {"arms": ["ce"]}} | change
    with pytest.raises(UserError, match=message) as caught:
        parse_study(raw, "s.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "expected keys"),
        ("a: [", "cannot be read"),
        ("name: a\nabout: b\nname: c", "cannot be read: 'name' is given twice"),
        (None, "neither a file"),
    ],
)
def test_a_file_that_is_no_study_is_named(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        load_study(str(path))


@pytest.mark.parametrize("name", studies())
def test_ready_studies_are_valid(name):
    study = load_study(name)
    assert study.name == name and study.about and study.arms


def test_paths_are_relative_to_the_study_file(tmp_path):
    raw = {
        "protocol": {"data": {"source": "image_folder", "path": "images"}},
        "request": {"arms": ["ce"]},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw))
    study = load_study(str(tmp_path / "mine.yaml"))
    assert study.name == "mine" and study.protocol.data.path == tmp_path / "images"


def test_a_path_may_begin_with_an_environment_variable(tmp_path, monkeypatch):
    data = {"source": "arrays", "path": "$UNTUNED_DATA/a.npz", "labels": {"file": "a$b.csv"}}
    raw = {"protocol": {"data": data}, "request": {"arms": ["ce"]}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw))
    monkeypatch.setenv("UNTUNED_DATA", str(tmp_path / "there"))
    found = load_study(str(tmp_path / "mine.yaml")).protocol.data
    assert found.path == tmp_path / "there" / "a.npz"
    assert found.labels.file == tmp_path / "a$b.csv"
    monkeypatch.delenv("UNTUNED_DATA")
    with pytest.raises(UserError, match=r"'\$UNTUNED_DATA/a.npz': .* UNTUNED_DATA is not set"):
        load_study(str(tmp_path / "mine.yaml"))


def test_a_request_can_be_overridden_the_protocol_cannot():
    study = load_study("digits", {"trials": 1, "arms": ["gce"]})
    assert (study.request.trials, study.request.arms) == (1, ["gce"])
    assert study.protocol == load_study("digits").protocol


def test_identity_is_of_values_and_data_not_of_places():
    protocol = Protocol.model_validate(DIGITS)
    moved = Protocol.model_validate(DIGITS | {"data": {"source": "digits", "path": "/elsewhere"}})
    other = Protocol.model_validate(DIGITS | {"seed": 1})
    assert protocol_hash(protocol, "f") == protocol_hash(moved, "f")
    assert protocol_hash(protocol, "f") != protocol_hash(protocol, "g")
    assert protocol_hash(protocol, "f") != protocol_hash(other, "f")


def test_the_column_of_a_labels_file_is_part_of_the_identity():
    hashes = {
        protocol_hash(
            Protocol.model_validate({"data": {"labels": {"file": "a.csv", "label": column}}}), "f"
        )
        for column in ("worst", "aggregate")
    }
    assert len(hashes) == 2


def test_a_study_may_have_arms_of_its_own():
    own = {
        "gce_wide": {
            "about": "a wider space",
            "kind": "tuned loss",
            "phases": [
                {"method": "methods.losses.generalized_cross_entropy:GeneralizedCrossEntropy"}
            ],
            "default": {"q": 0.5, "schedule.lr": 0.05},
            "space": {
                "q": {"low": 0.1, "high": 1.0},
                "schedule.lr": {"low": 0.01, "high": 1, "log": True},
            },
        }
    }
    raw = {"name": "s", "protocol": DIGITS, "request": {"arms": ["gce_wide"]}, "arms": own}
    (phase,) = parse_study(raw, "s").arm("gce_wide").resolve({"schedule.lr": 0.2})
    assert phase.schedule == {"lr": 0.2} and phase.hyperparameters == {"q": 0.5}


@pytest.mark.parametrize("engine", ["one_sided_difference", "finite_difference"])
def test_a_difference_of_rounded_outputs_is_refused(engine: str):
    phase = {
        "method": "methods.meta.meta_weight_net:MetaWeightNet",
        "meta": {"engine": engine, "lookahead": "alternating"},
    }
    own = {"mine": {"about": "a difference", "kind": "meta-learned weights", "phases": [phase]}}
    raw = {"name": "s", "request": {"arms": ["mine"]}, "arms": own}
    assert parse_study(raw | {"protocol": DIGITS}, "s").arm("mine")
    message = rf"\As: arm 'mine': meta\.engine = '{engine}' needs precision float32[^\n]*\Z"
    with pytest.raises(UserError, match=message):
        parse_study(raw | {"protocol": DIGITS | {"precision": "bfloat16"}}, "s")


CLIPPED = {
    "of the protocol": ({"schedule": {"clip": 1.0}}, {}, {}),
    "of a phase": ({}, {"clip": 1.0}, {}),
    "of a scenario": ({}, {}, {"schedule.clip": [1.0]}),
}


@pytest.mark.parametrize("where", CLIPPED)
def test_a_clipped_step_of_the_last_layers_alone_is_nobodys_own(where: str):
    """How much of it is left depends on the gradient's norm, which is that of all layers."""
    protocol, schedule, axes = CLIPPED[where]
    phase = {"method": "methods.meta.meta_weight_net:MetaWeightNet", "schedule": schedule}
    protocol = DIGITS | {"schedule": DIGITS["schedule"] | protocol.get("schedule", {})}
    for meta in ({"lookahead": "alternating"}, {"step": "own"}, {"step": "own", "last_layers": 1}):
        phase["meta"] = meta
        own = {"mine": {"about": "clips", "kind": "meta-learned weights", "phases": [phase]}}
        request = {"arms": ["mine"], "axes": axes}
        raw = {"name": "s", "protocol": protocol, "request": request, "arms": own}
        if "last_layers" not in meta:
            assert parse_study(raw, "s").arm("mine")
    message = r"\As: arm 'mine': meta\.step = 'own' with clip = 1\.0 needs all layers[^\n]*\Z"
    with pytest.raises(UserError, match=message):
        parse_study(raw, "s")


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (
            {"optimizer": "adma"},
            "schedule.optimizer = 'adma': Input should be 'sgd', 'adamw' or mod",
        ),
        ({"optimizer": "adamw", "nesterov": True}, "nesterov is an option of sgd, not of adamw"),
        ({"betas": [0.5, 0.9]}, "betas is an option of adamw, not of sgd"),
        ({"optimizer": "mine:O", "eps": 1e-6}, "eps is an option of adamw, not of mine:O"),
        ({"optimizer_options": {"rho": 1}}, "optimizer_options are of module:class, not of sgd"),
        ({"optimizer": "adamw", "betas": [0.9]}, "betas"),
        ({"optimizer": "adamw", "betas": [0.9, 1.0]}, "betas"),
    ],
)
def test_an_optimizer_or_an_option_that_it_does_not_have_is_refused(schedule, message):
    raw = {"name": "s", "protocol": DIGITS | {"schedule": schedule}, "request": {"arms": ["ce"]}}
    with pytest.raises(UserError) as refusal:
        parse_study(raw, "s")
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_small_study_of_the_tests_is_valid():
    assert small_study().request.trials == 2

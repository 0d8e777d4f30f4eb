"""Arms: every entry is sound, addresses reach their places, mistakes are named."""

import pytest
from optuna.distributions import FloatDistribution

from pipelines.errors import UserError
from pipelines.study.arms import Arm, known_arms, resolve_arm
from pipelines.study.search_space import describe_distribution

CE = "methods.losses.cross_entropy:CrossEntropy"
CANONICAL = {
    "ce",
    "ce_smooth",
    "gce",
    "sce",
    "focal",
    "ce_plus_meta",
    "gce_plus_meta",
    "sce_plus_meta",
    "clean_only",
    "clean_only_all",
    "finetune",
    "clean_only_long",
    "clean_only_all_long",
    "finetune_long",
    "random_weights",
    "l2rw",
    "mw_net",
    "gce_learned",
    "sce_learned",
    "focal_learned",
}


def arm(**change) -> Arm:
    entry = {"about": "a", "kind": "plain", "phases": [{"method": CE}]} | change
    return resolve_arm("mine", {"mine": entry})


def test_the_canonical_arms_are_there():
    assert {name: resolve_arm(name, {}) for name in CANONICAL}


@pytest.mark.parametrize("name", known_arms())
def test_every_arm_resolves_at_its_default_and_at_the_ends_of_its_ranges(name):
    found = resolve_arm(name, {})
    assert found.resolve({}) and set(found.space) <= set(found.default)
    for address, distribution in found.space.items():
        d = describe_distribution(distribution)
        for value in d.get("choices") or (d["low"], d["high"]):
            found.resolve({address: value})


def test_defaults_are_the_published_ones():
    defaults = {
        name: resolve_arm(name, {}).default for name in ("gce", "sce", "focal", "ce_smooth")
    }
    assert defaults == {
        "gce": {"q": 0.7},
        "sce": {"alpha": 0.1, "beta": 1.0},
        "focal": {"gamma": 2.0},
        "ce_smooth": {"smoothing": 0.1},
    }


def test_addresses_reach_hyperparameters_fields_groups_and_single_phases():
    found = arm(phases=[{"name": "one", "method": CE}, {"name": "two", "method": CE}])
    one, two = found.resolve(
        {
            "smoothing": 0.2,
            "two.smoothing": 0.4,
            "meta_repeat": 3,
            "meta.lr": 0.5,
            "one.schedule.lr": 0.7,
        }
    )
    assert (one.hyperparameters, two.hyperparameters) == ({"smoothing": 0.2}, {"smoothing": 0.4})
    assert (one.meta_repeat, one.meta.lr, one.schedule, two.schedule) == (3, 0.5, {"lr": 0.7}, {})


MISTAKES = [
    ({"kind": "best"}, "kind: Input should be 'plain'"),
    ({"phases": []}, "phases: .*at least 1"),
    (
        {"phases": [{"method": "methods.nothing:CE"}]},
        "method 'methods.nothing:CE': there is no module 'methods.nothing'",
    ),
    ({"phases": [{"method": "pathlib:Path"}]}, "not a subclass of methods.objective.Objective"),
    (
        {"phases": [{"method": CE, "hyperparameters": {"q": 1}}]},
        "unknown hyperparameter 'q'.*smoothing",
    ),
    (
        {"phases": [{"method": CE, "hyperparameters": {"smoothing": 2}}]},
        r"smoothing = 2 must lie in \[0",
    ),
    ({"phases": [{"method": CE, "schedule": {"epochs": 3}}]}, "epochs belongs to the protocol"),
    ({"phases": [{"method": CE, "pool": "test"}]}, "pool: Input should be 'train'"),
    ({"phases": [{"method": CE}, {"method": CE}]}, "phases need different names"),
    ({"space": {"smoothing": {"low": 0, "high": 1}}}, r"\Aarm 'mine': no default for smoothing"),
    (
        {
            "phases": [{"method": CE, "hyperparameters": {"smoothing": 0.1}}],
            "default": {"smoothing": 0.2},
        },
        r"\Aarm 'mine': smoothing is given twice",
    ),
    ({"default": {"smoothing": 0}, "space": {"smoothing": {"low": 0}}}, "high is missing"),
    ({"default": {"smoothing": 0}, "space": {"smoothing": {"min": 0}}}, "unknown min"),
    ({"default": {"smoothing.x": 0}}, "'smoothing' is not a group"),
    (
        {
            "phases": [
                {
                    "method": "methods.meta.learning_to_reweight:LearningToReweight",
                    "meta": {"every": 2},
                }
            ]
        },
        "meta.every = 2",
    ),
    (
        {"phases": [{"method": CE, "meta": {"engine": "double_backward", "graph": "retain"}}]},
        "own look-ahead",
    ),
    (
        {"phases": [{"method": CE, "meta": {"lookahead": "alternating", "last_layers": 1}}]},
        "all layers",
    ),
    (
        {
            "phases": [
                {
                    "method": "methods.meta.learning_to_reweight:LearningToReweight",
                    "meta": {"graph": "retain"},
                }
            ]
        },
        "only one_sided_difference gains",
    ),
    (
        {
            "phases": [
                {
                    "method": "tests.training.test_hooks:Remembering",
                    "meta": {"lookahead": "alternating"},
                }
            ]
        },
        "trains parameters of its own",
    ),
    (
        {"phases": [{"method": CE, "meta": {"optimizer": "adam", "momentum": 0.9}}]},
        "momentum is an option of sgd, not of adam",
    ),
    (
        {"phases": [{"method": CE, "meta": {"step": "own", "lookahead_rate": 4}}]},
        "lookahead_rate is of a plain step",
    ),
    (
        {"phases": [{"method": CE, "meta": {"horizon": 2, "graph": "retain"}}]},
        "horizon = 2 takes steps that are undone",
    ),
    (
        {"phases": [{"method": CE, "meta": {"lookahead_rate": 0}}]},
        "lookahead_rate",
    ),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_a_mistake_in_an_arm_is_named(change, message):
    with pytest.raises(UserError, match=message) as caught:
        arm(**change)
    assert "\n" not in str(caught.value) and "mine" in str(caught.value)


def test_distributions_survive_as_plain_values():
    found = arm(default={"smoothing": 0.1}, space={"smoothing": FloatDistribution(0, 1)})
    again = Arm.model_validate(found.model_dump())
    assert describe_distribution(again.space["smoothing"]) == {
        "low": 0.0,
        "high": 1.0,
        "log": False,
        "int": False,
    }


def ends(name: str) -> dict[str, tuple[float, float]]:
    space = resolve_arm(name, {}).space
    plain = {address: describe_distribution(d) for address, d in space.items()}
    return {address: (d["low"], d["high"]) for address, d in plain.items()}


def test_a_doubled_space_is_twice_as_wide_around_the_same_centre():
    entry = {"about": "a", "kind": "tuned loss", "phases": [{"method": CE}]}
    entry["default"] = {"schedule.lr": 0.1, "schedule.momentum": 0.5, "epochs": 0.5}
    entry["space"] = {
        "schedule.lr": {"low": 0.01, "high": 1.0, "log": True},
        "schedule.momentum": {"low": 0.4, "high": 0.6},
        "epochs": {"choices": [0.5, 1.0]},
    }
    space = resolve_arm("mine_doubled", {"mine": entry}).space
    plain = {address: describe_distribution(d) for address, d in space.items()}
    assert plain["schedule.lr"]["low"] == pytest.approx(0.001)
    assert plain["schedule.lr"]["high"] == pytest.approx(10.0)
    assert plain["schedule.momentum"]["low"] == pytest.approx(0.3)
    assert plain["schedule.momentum"]["high"] == pytest.approx(0.7)
    assert plain["epochs"] == {"choices": [0.5, 1.0]}


def test_an_end_that_the_arm_refuses_stays():
    assert ends("gce_doubled") == ends("gce")  # q in (0, 1]
    assert ends("focal_doubled") == {"gamma": (0.0, 7.5)}
    assert ends("gce_plus_meta_doubled")["meta_repeat"] == (1, 164)


def test_a_doubled_arm_differs_in_nothing_else_and_is_resolved_at_its_new_ends():
    plain, wide = resolve_arm("sce_plus_meta", {}), resolve_arm("sce_plus_meta_doubled", {})
    assert (wide.default, wide.phases, wide.kind) == (plain.default, plain.phases, plain.kind)
    for address, values in ends("sce_plus_meta_doubled").items():
        for value in values:
            wide.resolve({address: value})


@pytest.mark.parametrize(
    ("name", "message"),
    [("l2rw_doubled", "l2rw is not tuned"), ("nothing_doubled", "'nothing_doubled' is unknown")],
)
def test_only_a_tuned_arm_can_be_doubled(name, message):
    with pytest.raises(UserError, match=message):
        resolve_arm(name, {})


SMALL_LOSS = "methods.selection.small_loss:SmallLoss"


@pytest.mark.parametrize(
    ("kind", "rate", "reason"),
    [
        ("tuned loss", "measured", "an arm with it has kind: oracle"),
        ("oracle", 0.2, "none of its methods reads the true labels"),
    ],
)
def test_an_arm_says_whether_it_is_an_oracle(kind, rate, reason):
    phase = {"method": SMALL_LOSS, "hyperparameters": {"rate": rate}}
    with pytest.raises(UserError, match=reason):
        resolve_arm("mine", {"mine": {"about": "mine", "kind": kind, "phases": [phase]}})


def test_an_oracle_has_no_twins_that_train_on_clean_labels():
    for suffix in ("_plus_meta", "_finetune"):
        with pytest.raises(UserError, match="is unknown"):
            resolve_arm(f"small_loss_oracle{suffix}", {})

"""Arms whose model is no network: fitted at once, judged, saved and resumed as all others."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch

from methods.fitted import ABSENT
from methods.objective import Outputs
from pipelines.data.task import Split, prepare
from pipelines.errors import UserError
from pipelines.execution.estimate import estimate
from pipelines.prediction.predictor import load_predictor
from pipelines.study.arms import resolve_arm
from pipelines.study.method_loading import build_method
from pipelines.training.artifacts import artifacts
from pipelines.training.fitting import FittingRun
from pipelines.training.passes import passes_of
from pipelines.training.rehearsal import rehearse
from pipelines.training.trial import run_trial
from tests.conftest import small_study, training_spec, under
from tests.support.arms import FITTED

LOGISTIC = "methods.shallow.logistic_regression:LogisticRegression"
TREES = "methods.shallow.gradient_boosting:GradientBoosting"
QUICK = {"rounds": 3, "min_samples_leaf": 5}
each = pytest.mark.parametrize(
    ("arm", "config"), [("logistic_regression", {"c": 0.01}), ("boosted_trees", QUICK)]
)


def spec_of(arm, **config):
    return training_spec(arm, small_study([arm]), **config)


def clusters(classes=3, n=120):
    """x [n, 4] around a centre for each class, and y [n]."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % classes
    x = rng.normal(size=(n, 4)) + 2 * rng.normal(size=(classes, 4))[y]
    return torch.from_numpy(x).float(), torch.from_numpy(y)


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_is_at_the_minimum_of_its_objective(classes):
    """The gradient of sum w CE + |W|^2 / (2 c) vanishes, in both ways to write two classes."""
    x, y = clusters(classes)
    weights = torch.rand(len(y), generator=torch.Generator().manual_seed(0)) + 0.5
    model = build_method(LOGISTIC, {"c": 0.3}).fit(x, y, weights, classes, seed=0).double()
    losses = torch.nn.functional.cross_entropy(model(x.double()), y, reduction="none")
    penalty = model.weight.square().sum() / (2 * 0.3)
    ((weights * losses).sum() + penalty).backward()
    assert max(p.grad.abs().max() for p in model.parameters()) < 2e-2  # of sums over 120 examples


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_trees_predict_what_scikit_learns_do(classes, balanced):
    from sklearn.ensemble import HistGradientBoostingClassifier

    x, y = clusters(classes)
    x, y = x[30:], y[30:].clamp_max(classes - 1)
    keep = (y > 0) | (torch.arange(len(y)) % 4 == 0)  # one class is rarer
    x, y = x[keep], y[keep]
    method = build_method(TREES, QUICK | {"balanced": balanced})
    model = method.fit(x, y, torch.ones(len(y)), classes, seed=0)
    theirs = HistGradientBoostingClassifier(
        max_iter=3,
        min_samples_leaf=5,
        early_stopping=False,
        class_weight="balanced" if balanced else None,
    ).fit(x.numpy(), y.numpy())
    new = clusters(classes, 60)[0] + 0.1
    expected = theirs.predict_proba(new.numpy())
    np.testing.assert_allclose(model(new).softmax(1).detach().numpy(), expected, atol=1e-6)


def test_balanced_logistic_regression_weighs_as_scikit_learns_does():
    from sklearn.linear_model import LogisticRegression

    x, y = clusters()
    x, y = x[y * torch.arange(len(y)) % 4 < 3], y[y * torch.arange(len(y)) % 4 < 3]
    model = build_method(LOGISTIC, {"balanced": True}).fit(x, y, torch.ones(len(y)), 3, seed=0)
    theirs = LogisticRegression(class_weight="balanced").fit(x.numpy(), y.numpy())
    np.testing.assert_allclose(model.weight.detach(), theirs.coef_, atol=1e-3)


@pytest.mark.parametrize("path", [LOGISTIC, TREES])
def test_a_class_that_no_example_has_gets_next_to_no_probability(path):
    x, y = clusters(2)
    model = build_method(path, {}).fit(x, 2 * y, torch.ones(len(y)), 4, seed=0)
    logits = model(x)
    assert (logits[:, [1, 3]] == ABSENT).all()
    assert (logits[:, [0, 2]].argmax(1) == y).float().mean() > 0.9


@each
def test_it_is_judged_on_val_and_test_and_makes_no_passes(arm, config):
    *_, (_, result, _) = run_trial(spec_of(arm, **config))
    assert result["status"] == "completed" and (result["epochs"], result["passes"]) == (1, 0)
    assert result["cost"]["seconds"] > 0 and result["data"]["counts"]
    held_out = result["held_out"]
    assert held_out["score"]["last"] == held_out["selected"]["accuracy"] > 0.3
    assert result["val"]["last"] == result["val"]["selected"]


@each
def test_it_is_bit_identical_again_and_from_its_snapshot(arm, config):
    def ends(state=None):
        *_, (_, result, snapshot) = run_trial(spec_of(arm, **config), state)
        result["cost"].clear()
        return result, snapshot()

    result, state = ends()
    assert ends()[0] == result == ends(state)[0]


@each
def test_a_saved_model_predicts_what_the_trial_did(arm, config):
    spec = spec_of(arm, **config)
    *_, (_, result, snapshot) = run_trial(spec)
    saved = artifacts(spec, snapshot())
    model, test = load_predictor(io.BytesIO(saved["model.pt"])), prepare(spec.protocol, 1).test
    named = model.predict(test.x.numpy())
    right = np.mean([name == model.classes[y] for name, y in zip(named, test.y, strict=True)])
    assert right == pytest.approx(result["held_out"]["score"]["last"])
    examples = torch.load(io.BytesIO(saved["examples.pt"]), weights_only=True)
    assert examples["loss"].isfinite().all()


def test_clean_examples_that_are_repeated_weigh_as_often():
    spec = spec_of("logistic_regression_plus_meta", meta_repeat=3)
    assert spec.phases[0].pool == "train+meta"
    model = FittingRun(spec, torch.device("cpu"))
    next(model.steps())
    task = model.task
    x = torch.cat([task.train.x, task.meta.x])
    weights = torch.cat([torch.ones(len(task.train)), torch.full((len(task.meta),), 3.0)])
    method = build_method(LOGISTIC, {"c": 1.0})
    y = torch.cat([task.train.y, task.meta.y])
    once = method.fit(task.normalise(x).flatten(1), y, weights, len(task.classes), seed=0)
    assert model.network
    torch.testing.assert_close(
        model.network.model.state_dict()["weight"], once.weight.detach(), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 0.5}, "epochs: .* takes no steps"),
        ({"ema": 0.9}, "ema: "),
        ({"schedule": {"lr": 0.1}}, "schedule: "),
        ({"epoch_size": "train"}, "epoch_size: "),
    ],
)
def test_what_speaks_of_steps_is_refused(changes, said):
    arm = resolve_arm("logistic_regression", {})
    with pytest.raises(UserError, match=said):
        arm.model_copy(update={"phases": [arm.phases[0].model_copy(update=changes)]}).resolve({})


def test_it_can_only_be_the_one_phase():
    own = {
        "two": {
            "about": "",
            "kind": "control",
            "phases": [{"method": LOGISTIC}, {"name": "after", "method": LOGISTIC}],
        }
    }
    with pytest.raises(UserError, match="it can only be the one phase"):
        resolve_arm("two", own)


def test_an_attack_needs_a_network():
    spec = under(spec_of("boosted_trees", **QUICK), {"attack": {"epsilon": 0.1}})
    with pytest.raises(UserError, match="is no network, and the protocol's attack needs one"):
        FittingRun(spec, torch.device("cpu"))


def test_more_features_than_it_is_fitted_on_and_a_single_class_are_refused(monkeypatch):
    spec = spec_of("logistic_regression")
    task = prepare(spec.protocol, 1)
    one = task.train.y == task.train.y[0]
    alone = Split(**{name: column[one] for name, column in vars(task.train).items()})
    with pytest.raises(UserError, match="have one label"):
        next(FittingRun(spec, torch.device("cpu"), replace(task, train=alone)).steps())
    run = FittingRun(spec, torch.device("cpu"))
    monkeypatch.setattr(type(run.objective), "most_features", 63)
    with pytest.raises(UserError, match="64 features each, more than the 63"):
        next(run.steps())


@pytest.mark.parametrize(
    ("path", "given", "said"),
    [
        (LOGISTIC, {"c": 0.0}, "c = 0.0: must be at least"),
        (TREES, {"max_leaf_nodes": 1}, "max_leaf_nodes = 1: must be at least 2"),
        (TREES, {"rounds": 0}, "rounds = 0: must be at least 1"),
    ],
)
def test_hyperparameters_have_bounds(path, given, said):
    with pytest.raises(UserError, match=said):
        build_method(path, given)


@each
def test_a_rehearsal_fits_a_few_examples_of_data_in_order_of_classes(arm, config):
    rehearse(spec_of(arm, **config))


def test_what_it_costs_is_seconds_of_a_fit():
    study = small_study(["logistic_regression"], trials=3, seeds=1, repeats=1)
    task = prepare(study.protocol, 1)
    assert passes_of(study.arm("logistic_regression"), {}, study, task) == 0
    cost = estimate(study)["logistic_regression"]
    assert cost.passes == 0 and cost.seconds > 0 and cost.files > cost.trials * 60_000


def test_its_loss_is_cross_entropy():
    method, z = build_method(LOGISTIC, {}), torch.tensor([[1.0, 2.0, 0.0]])
    batch = type("Batch", (), {"y": torch.tensor([[0.0, 1.0, 0.0]])})
    expected = -z.log_softmax(1)[0, 1]
    torch.testing.assert_close(method(Outputs(z), batch)[0], expected)


def test_there_are_four_arms_of_them_and_twins_on_clean_examples():
    names = {f"{model}{weights}" for model in ("logistic_regression", "boosted_trees")
             for weights in ("", "_balanced")}  # fmt: skip
    assert names == FITTED
    for name in names:
        twin = resolve_arm(f"{name}_plus_meta", {})
        assert twin.kind == "control" and "meta_repeat" in twin.space
        assert "schedule.lr" not in twin.knobs

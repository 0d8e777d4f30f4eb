"""The hypergradient against closed forms, double backward and finite differences; in float64."""

from dataclasses import replace

import pytest
import torch

from methods.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from methods.losses.symmetric_cross_entropy import SymmetricCrossEntropy
from methods.meta.learning_to_reweight import LearningToReweight
from methods.meta.meta_weight_net import MetaWeightNet
from methods.objective import cross_entropy
from pipelines.hypergradient.engines import Problem, hypergradient, look_ahead
from pipelines.hypergradient.update_rules import Taken
from pipelines.models.network import same_random_state
from tests.hypergradient.one_step import ALPHA, OneStep, relative_error

ENGINES = ["forward", "finite_difference", "one_sided_difference", "double_backward"]


def quadratic(a, b, phi):
    """L(theta, phi) = mean_i phi_i z_i^2 / 2 with z = A theta; clean = |theta - b|^2 / 2."""
    return Problem(
        outputs=lambda theta: (a @ theta["w"],),
        losses=lambda z: phi * z[0].square() / 2,
        clean=lambda theta: (theta["w"] - b).square().sum() / 2,
    )


def closed_form(a, b, phi, w):
    """d clean / d phi_i = -alpha/n <theta' - b, a_i> <a_i, w>.

    theta' = w - alpha A^T diag(phi) A w / n
    """
    n = len(phi)
    ahead = w - ALPHA * a.T @ (phi * (a @ w)) / n
    return -ALPHA / n * (a @ (ahead - b)) * (a @ w)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_quadratic_has_its_closed_form(engine):
    torch.manual_seed(0)
    a, b = torch.randn(5, 3).double(), torch.randn(3).double()
    w = torch.randn(3).double().requires_grad_()
    phi = torch.rand(5).double().requires_grad_()
    (found,) = hypergradient(quadratic(a, b, phi), {"w": w}, [phi], ALPHA, engine)
    torch.testing.assert_close(found, closed_form(a, b, phi, w).detach(), rtol=1e-9, atol=1e-12)


OBJECTIVES = {
    "l2rw": LearningToReweight,
    "mw_net": MetaWeightNet,
    "mw_net, mean": lambda: MetaWeightNet(normalize=False),
    "gce": lambda: GeneralizedCrossEntropy(0.6, learn=True),
    "sce": lambda: SymmetricCrossEntropy(0.5, 1.0, learn=True),
}
objectives = pytest.mark.parametrize("name", OBJECTIVES)


@objectives
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_forward_mode_equals_double_backward_on_a_batch_norm_network(name, dropout):
    one_step = OneStep(OBJECTIVES[name](), dropout)
    expected = one_step.hypergradient("double_backward")
    assert expected.norm() > 0
    assert relative_error(one_step.hypergradient("forward"), expected) < 1e-10


@objectives
def test_finite_difference_comes_close(name):
    one_step = OneStep(OBJECTIVES[name]())
    expected = one_step.hypergradient("double_backward")
    assert relative_error(one_step.hypergradient("finite_difference"), expected) < 1e-4


@objectives
def test_a_one_sided_difference_comes_less_close(name):
    one_step = OneStep(OBJECTIVES[name]())
    expected = one_step.hypergradient("double_backward")
    assert relative_error(one_step.hypergradient("one_sided_difference"), expected) < 0.03


#: Forwards of the training batch without and with known outputs. L2RW has no look-ahead, whose
#: forward the others reuse.
FORWARDS = {
    ("mw_net", "forward"): (2, 1),
    ("mw_net", "finite_difference"): (3, 2),
    ("mw_net", "one_sided_difference"): (2, 1),
    ("l2rw", "forward"): (1, 1),
    ("l2rw", "finite_difference"): (2, 2),
    ("l2rw", "one_sided_difference"): (2, 1),
}


@pytest.mark.parametrize(("name", "engine"), FORWARDS)
def test_known_outputs_save_a_forward_and_change_nothing(name, engine):
    one_step = OneStep(OBJECTIVES[name]())
    calls = []

    def outputs(theta):
        calls.append(1)
        return one_step.problem.outputs(theta)

    problem = replace(one_step.problem, outputs=outputs)
    for known, forwards in zip((False, True), FORWARDS[name, engine], strict=True):
        z = one_step.problem.outputs(one_step.theta) if known else None
        calls.clear()
        found = hypergradient(problem, one_step.theta, one_step.phi, ALPHA, engine, z=z)
        assert len(calls) == forwards
        flat = torch.cat([g.flatten() for g in found])
        assert relative_error(flat, one_step.hypergradient(engine)) < 1e-6
    if z is not None:
        torch.autograd.grad(z[0].sum(), list(one_step.theta.values()))  # its graph is still there


@objectives
def test_restricted_to_some_parameters_it_is_exact_for_a_look_ahead_that_moves_only_these(name):
    one_step = OneStep(OBJECTIVES[name]())
    full = one_step.theta
    one_step.theta = {n: p for n, p in full.items() if n.startswith("0.7.")}
    assert 0 < len(one_step.theta) < len(full)
    expected = one_step.hypergradient("double_backward")
    assert relative_error(one_step.hypergradient(), expected) < 1e-10
    one_step.theta = full
    assert relative_error(one_step.hypergradient(), expected) > 1e-3


@objectives
def test_it_is_the_derivative_of_the_clean_loss_after_the_look_ahead(name):
    one_step = OneStep(OBJECTIVES[name]())
    found = one_step.hypergradient()
    direction = found / found.norm()

    def clean_after_moving(size):
        parts = direction.split([p.numel() for p in one_step.phi])
        with torch.no_grad():
            for p, d in zip(one_step.phi, parts, strict=True):
                p.add_(size * d.view_as(p))
        moving = Problem(one_step.problem.outputs, one_step.problem.losses, one_step.problem.clean)
        value = one_step.problem.clean(look_ahead(moving, one_step.theta, ALPHA)[0].theta).item()
        with torch.no_grad():
            for p, d in zip(one_step.phi, parts, strict=True):
                p.sub_(size * d.view_as(p))
        return value

    slope = (clean_after_moving(1e-5) - clean_after_moving(-1e-5)) / 2e-5
    assert slope == pytest.approx(found.norm().item(), rel=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_it_leaves_parameters_buffers_gradients_and_random_state_untouched(engine):
    one_step = OneStep(MetaWeightNet(), dropout=0.5)
    before = {n: t.clone() for n, t in one_step.model.state_dict().items()}
    state = torch.get_rng_state()
    with same_random_state(torch.device("cpu")):
        one_step.hypergradient(engine)
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in one_step.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(p.grad is None for p in [*one_step.theta.values(), *one_step.phi])


def test_an_alternating_step_uses_the_parameters_that_were_reached():
    one_step = OneStep(MetaWeightNet())
    taken, _ = look_ahead(one_step.problem, one_step.theta, ALPHA)
    found = hypergradient(one_step.problem, one_step.theta, one_step.phi, ALPHA, taken=taken)
    assert relative_error(torch.cat([g.flatten() for g in found]), one_step.hypergradient()) < 1e-12


def test_l2rw_weights_follow_the_agreement_of_gradients():
    """w_i is proportional to max(0, <grad l_i, grad clean>): here one example at a time."""
    one_step = OneStep(LearningToReweight())
    theta = list(one_step.theta.values())
    clean = torch.autograd.grad(one_step.problem.clean(one_step.theta), theta)
    losses = cross_entropy(one_step.problem.outputs(one_step.theta)[0], one_step.batch.y)
    agreement = []
    for loss in losses:
        grads = torch.autograd.grad(loss, theta, retain_graph=True)
        agreement.append(sum((g * c).sum() for g, c in zip(grads, clean, strict=True)))
    positive = torch.stack(agreement).clamp_min(0)
    one_step.objective.meta_step([one_step.hypergradient()], None)
    torch.testing.assert_close(one_step.objective.weights, positive / positive.sum())


def test_double_backward_takes_its_own_look_ahead():
    one_step = OneStep(MetaWeightNet())
    with pytest.raises(ValueError, match="rollback"):
        hypergradient(
            one_step.problem,
            one_step.theta,
            one_step.phi,
            ALPHA,
            "double_backward",
            Taken(one_step.theta),
        )

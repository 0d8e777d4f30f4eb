"""Implicit hypergradients: closed forms at minima, dense linear algebra elsewhere; in float64."""

import math

import pytest
import torch
from torch import nn

from methods.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from methods.meta.learned_step import LearnedStep
from methods.meta.meta_weight_net import MetaWeightNet
from pipelines.hypergradient.engines import Problem, clean_gradient
from pipelines.hypergradient.horizon import hypergradient_over
from pipelines.hypergradient.implicit import (
    conjugate_gradient,
    implicit_hypergradient,
    neumann,
)
from tests.hypergradient.one_step import OneStep, relative_error

D = 4


def matrix(identity=False):
    torch.manual_seed(0)
    a = torch.randn(D, D).double()
    return torch.eye(D).double() if identity else a @ a.T + torch.eye(D).double()


class Ridge:
    """L = theta Q theta / 2 - b theta + e^phi |theta|^2 / 2, clean = |theta - c|^2 / 2.

    At its minimum theta = (Q + e^phi)^-1 b; the hypergradient there is
    -(theta - c)^T (Q + e^phi)^-1 e^phi theta.
    """

    def __init__(self, q, phi=0.3):
        self.q, self.phi = q, torch.tensor(phi, dtype=torch.double, requires_grad=True)
        self.b, self.c = torch.randn(2, D).double()
        self.hessian = q + math.exp(phi) * torch.eye(D).double()
        self.minimum = torch.linalg.solve(self.hessian, self.b)
        self.clean = self.minimum - self.c
        self.problem = Problem(
            outputs=lambda theta: (theta["w"],),
            losses=lambda z: z[0] @ self.q @ z[0] / 2 - self.b @ z[0],
            clean=lambda theta: (theta["w"] - self.c).square().sum() / 2,
            penalty=lambda theta: self.phi.exp() * theta["w"].square().sum() / 2,
        )

    def expected(self, q):
        return -q @ (self.phi.exp().detach() * self.minimum)

    def found(self, engine, rate=0.1, terms=D, damping=0.0):
        theta = {"w": self.minimum.clone().requires_grad_()}
        given = (self.problem, theta, [self.phi], rate, engine, terms, damping)
        [found] = implicit_hypergradient(*given)
        return found


def test_conjugate_gradient_has_the_closed_form_of_a_quadratic_after_as_many_terms_as_dimensions():
    ridge = Ridge(matrix())
    expected = ridge.expected(torch.linalg.solve(ridge.hessian, ridge.clean))
    torch.testing.assert_close(ridge.found("conjugate_gradient"), expected, rtol=1e-10, atol=0)
    more = ridge.found("conjugate_gradient", terms=3 * D)
    torch.testing.assert_close(more, expected, rtol=1e-10, atol=0)
    less = ridge.found("conjugate_gradient", terms=1)
    assert (less - expected).abs() > 0.01 * expected.abs()


def test_neumanns_series_converges_to_it():
    ridge = Ridge(matrix())
    expected = ridge.expected(torch.linalg.solve(ridge.hessian, ridge.clean))
    rate = 1 / torch.linalg.eigvalsh(ridge.hessian).max().item()
    found = ridge.found("neumann", rate, terms=1000)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize("terms", [1, 2, 5])
def test_neumanns_series_is_the_hypergradient_through_as_many_steps_at_a_minimum(terms):
    ridge = Ridge(matrix())
    theta = {"w": ridge.minimum.clone().requires_grad_()}
    problems = [ridge.problem] * terms
    [expected] = hypergradient_over(problems, theta, [ridge.phi], 0.05, "double_backward")
    torch.testing.assert_close(ridge.found("neumann", 0.05, terms), expected, rtol=1e-10, atol=0)


def test_t1_t2_takes_the_curvature_for_the_identity():
    ridge = Ridge(matrix())
    torch.testing.assert_close(ridge.found("t1_t2"), ridge.expected(ridge.clean))
    one = ridge.found("neumann", rate=0.05, terms=1)
    torch.testing.assert_close(one, 0.05 * ridge.found("t1_t2"))


def test_t1_t2_is_exact_where_the_curvature_is_the_identity():
    phi = -40.0  # e^phi is next to nothing
    ridge = Ridge(matrix(identity=True), phi)
    expected = ridge.expected(torch.linalg.solve(ridge.hessian, ridge.clean))
    torch.testing.assert_close(ridge.found("t1_t2"), expected, rtol=1e-10, atol=0)


def test_damping_is_added_to_the_curvature():
    ridge = Ridge(matrix())
    damped = ridge.hessian + 0.5 * torch.eye(D)
    expected = ridge.expected(torch.linalg.solve(damped, ridge.clean))
    for engine, terms in (("conjugate_gradient", D), ("neumann", 3000)):
        found = ridge.found(engine, 0.05, terms, damping=0.5)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


def test_conjugate_gradient_stops_where_the_curvature_does_not_bend_upwards():
    down = torch.diag(torch.tensor([3.0, 2.0, -1.0])).double()
    b = torch.tensor([1.0, 1.0, 0.5]).double()
    first = b.square().sum() / (b @ down @ b) * b
    assert conjugate_gradient(lambda v: down @ v, b, 1).tolist() == pytest.approx(first.tolist())
    stopped = [conjugate_gradient(lambda v: down @ v, b, n) for n in (2, 3, 10)]
    assert all(torch.equal(stopped[0], s) for s in stopped) and stopped[0].isfinite().all()
    assert torch.equal(conjugate_gradient(lambda v: -v, b, 5), b)  # as t1_t2


def test_nothing_to_solve_is_solved_by_nothing():
    zero = torch.zeros(D).double()
    for found in (
        conjugate_gradient(lambda v: matrix() @ v, zero, 5),
        neumann(lambda v: matrix() @ v, zero, 0.1, 5),
    ):
        assert found.tolist() == [0] * D


OBJECTIVES = {
    "mw_net": MetaWeightNet,
    "gce": lambda: GeneralizedCrossEntropy(0.6, learn=True),
    "penalty": lambda: LearnedStep(0.7, 1e-2, learn_rate=True, learn_decay=True),
}


class Dense:
    """Curvature and mixed second derivative of a BatchNorm network's loss, as matrices."""

    def __init__(self, one_step):
        self.theta, problem = one_step.theta, one_step.problem
        at = {n: p.detach().requires_grad_() for n, p in self.theta.items()}
        loss = problem.loss(problem.outputs(at), at)
        grads = torch.autograd.grad(loss, [*at.values()], create_graph=True)
        rows = [
            torch.autograd.grad(g, [*at.values(), *one_step.phi], retain_graph=True)
            for g in torch.cat([g.flatten() for g in grads])
        ]
        split = len(at)
        self.hessian = torch.stack([torch.cat([t.flatten() for t in r[:split]]) for r in rows])
        self.mixed = torch.stack([torch.cat([t.flatten() for t in r[split:]]) for r in rows])
        clean = clean_gradient(problem, self.theta)
        self.clean = torch.cat([g.flatten() for g in clean.values()])


def last_layer(one_step):
    one_step.theta = {n: p for n, p in one_step.theta.items() if n.startswith("0.7.")}
    return one_step


@pytest.mark.parametrize("name", OBJECTIVES)
def test_on_a_batch_norm_network_it_is_what_dense_linear_algebra_finds(name):
    one_step = OneStep(OBJECTIVES[name]())
    one_step.theta = {n: p for n, p in one_step.theta.items() if n[:4] not in ("0.0.", "0.4.")}
    dense = Dense(one_step)
    size = len(dense.clean)
    damping = 0.01 - min(0.0, torch.linalg.eigvalsh(dense.hessian).min().item())
    curvature = dense.hessian + damping * torch.eye(size).double()
    series, term = torch.zeros(size).double(), 0.3 * dense.clean
    for _ in range(6):
        series, term = series + term, term - 0.3 * curvature @ term
    expected = {
        "t1_t2": dense.clean,
        "neumann": series,
        "conjugate_gradient": torch.linalg.solve(curvature, dense.clean),
    }
    for engine, q in expected.items():
        terms = 6 if engine == "neumann" else 3 * size
        given = (one_step.problem, one_step.theta, one_step.phi, 0.3, engine, terms, damping)
        found = torch.cat([g.flatten() for g in implicit_hypergradient(*given)])
        assert relative_error(found, -q @ dense.mixed) < 1e-9, engine


def at_its_minimum(one_step, newton_steps=12):
    """The last layer where the training loss with a penalty has its only minimum."""
    for _ in range(newton_steps):
        dense = Dense(one_step)
        problem, theta = one_step.problem, one_step.theta
        loss = problem.loss(problem.outputs(theta), theta)
        grad = torch.cat([g.flatten() for g in torch.autograd.grad(loss, [*theta.values()])])
        move = torch.linalg.solve(dense.hessian, grad)
        with torch.no_grad():
            parts = move.split([p.numel() for p in theta.values()])
            for p, m in zip(theta.values(), parts, strict=True):
                p.sub_(m.view_as(p))
    return one_step


def penalised():
    return last_layer(OneStep(LearnedStep(1.0, 0.05, learn_decay=True)))


def test_at_the_minimum_of_a_batch_norm_networks_last_layer_it_is_the_slope_of_minima():
    """Against a difference of the clean loss at minima for other decays."""
    one_step = at_its_minimum(penalised())
    [raw] = one_step.phi
    size = sum(p.numel() for p in one_step.theta.values())
    given = (one_step.problem, one_step.theta, one_step.phi, 0.1, "conjugate_gradient", size, 0.0)
    [found] = implicit_hypergradient(*given)
    values = []
    for move in (1e-4, -2e-4):
        with torch.no_grad():
            raw.add_(move)
        at_its_minimum(one_step, 5)
        values.append(one_step.problem.clean(one_step.theta).item())
    assert found.item() == pytest.approx((values[0] - values[1]) / 2e-4, rel=1e-6)


@pytest.mark.parametrize("steps", [1, 3])
def test_there_neumanns_series_equals_double_backward_through_as_many_steps(steps):
    one_step = at_its_minimum(penalised())
    theta, phi = one_step.theta, one_step.phi
    [expected] = hypergradient_over([one_step.problem] * steps, theta, phi, 0.2, "double_backward")
    [found] = implicit_hypergradient(one_step.problem, theta, phi, 0.2, "neumann", steps, 0.0)
    assert found.item() == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize("engine", ["t1_t2", "neumann", "conjugate_gradient"])
def test_it_leaves_parameters_and_gradients_untouched(engine):
    one_step = OneStep(MetaWeightNet(), dropout=0.5)
    before = {n: t.clone() for n, t in one_step.model.state_dict().items()}
    given = (one_step.problem, one_step.theta, one_step.phi, 0.3, engine, 3, 0.1)
    implicit_hypergradient(*given)
    for name, tensor in one_step.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(p.grad is None for p in [*one_step.theta.values(), *one_step.phi])


def test_a_parameter_that_the_loss_does_not_depend_on_has_no_part_in_it():
    one_step = OneStep(GeneralizedCrossEntropy(0.6, learn=True))
    idle = nn.Parameter(torch.ones(3).double())
    for engine in ("t1_t2", "neumann", "conjugate_gradient"):
        [alone, with_idle] = [
            implicit_hypergradient(problem, theta, one_step.phi, 0.3, engine, 3, 0.1)[0]
            for problem, theta in (
                (one_step.problem, one_step.theta),
                (one_step.problem, one_step.theta | {"idle": idle}),
            )
        ]
        assert with_idle.item() == pytest.approx(alone.item(), rel=1e-10)

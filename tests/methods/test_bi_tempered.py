"""The bi-tempered loss by its closed forms: normalisation, limits, first and second derivatives."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from methods.losses.bi_tempered import BiTempered, tempered_log_softmax
from methods.objective import Outputs, cross_entropy
from tests.methods.cases import CLASSES, batch_of, hard, logits, p_of

TEMPERATURES = [(0.8, 1.2), (0.2, 1.0), (1.0, 2.0), (0.5, 4.0), (0.0, 1.01)]


def loss(z, t1, t2):
    return BiTempered(t1, t2).double()(Outputs(z), hard())


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 300.0])
@pytest.mark.parametrize("t2", [1.05, 1.2, 2.0, 4.0])
def test_probabilities_sum_to_one_in_float32(classes, scale, t2):
    torch.manual_seed(0)
    p = tempered_log_softmax(scale * torch.randn(50, classes), t2).exp()
    torch.testing.assert_close(p.sum(1), torch.ones(50), rtol=0, atol=2e-5)


def test_at_temperature_one_it_is_cross_entropy():
    torch.testing.assert_close(loss(logits(), 1.0, 1.0), cross_entropy(logits(), hard().y))


def test_without_heavy_tails_it_is_generalized_cross_entropy_less_a_term():
    """With q = 1 - t1: (1 - p_y^q) / q - (1 - sum p^(2 - t1)) / (2 - t1)."""
    p = logits().softmax(1)
    expected = (1 - p_of(logits()) ** 0.2) / 0.2 - (1 - (p**1.2).sum(1)) / 1.2
    torch.testing.assert_close(loss(logits(), 0.8, 1.0), expected)


@pytest.mark.parametrize(("t1", "t2"), TEMPERATURES)
def test_its_gradient_is_the_closed_form(t1, t2):
    """d f - e sum(d f), with d = P - y, f = P^(t2 - t1), e = P^t2 / sum P^t2."""
    z = logits(3.0)
    p = tempered_log_softmax(z, t2).exp()
    d, f, e = p - hard().y, p ** (t2 - t1), p**t2 / (p**t2).sum(1, keepdim=True)
    expected = d * f - e * (d * f).sum(1, keepdim=True)
    torch.testing.assert_close(torch.func.grad(lambda z: loss(z, t1, t2).sum())(z), expected)


def test_the_loss_is_bounded():
    found = loss(logits(1e3), 0.8, 1.2)
    assert (found >= 0).all() and (found <= 1 / (1 - 0.8)).all() and found.max() > 1


def test_first_and_second_derivatives_in_logits_and_temperatures_are_exact():
    """The hypergradient needs the mixed ones."""
    method = BiTempered(learn=True).double()
    raw = [p.detach().clone().requires_grad_() for p in method.meta_parameters()]
    names = ["t1.raw", "t2.raw"]

    def of(z, *raw):
        given = dict(zip(names, raw, strict=True))
        return torch.func.functional_call(method, given, (Outputs(z), hard()))

    z = logits(2.0).requires_grad_()
    assert gradcheck(of, (z, *raw)) and gradgradcheck(of, (z, *raw))


def test_the_slope_in_t2_is_the_closed_form():
    """d ln P / dt of the unnormalised, less what the normaliser takes up."""
    z, t = logits(2.0), 1.5
    log_p = tempered_log_softmax(z, t)
    slope = torch.func.jacrev(lambda t: tempered_log_softmax(z, t))(torch.tensor(t).double())
    p = log_p.exp()
    u = (p ** (1 - t) - 1) / (1 - t)  # z - lambda
    b = 1 + (1 - t) * u
    free = b.log() / (1 - t) ** 2 - u / ((1 - t) * b)
    taken = (p * free).sum(1, keepdim=True) / (p**t).sum(1, keepdim=True)
    torch.testing.assert_close(slope, free - p ** (t - 1) * taken)


def test_predictions_are_tempered_and_rank_classes_as_the_softmax_does():
    outputs = Outputs(logits())
    found = BiTempered(0.8, 2.0).double().predict(outputs)
    plain = BiTempered(0.8, 1.0).double().predict(outputs)
    torch.testing.assert_close(plain, logits().softmax(1))
    assert torch.equal(found.argsort(1), plain.argsort(1)) and not torch.allclose(found, plain)


def test_a_distribution_as_target_moves_the_gradient_as_the_divergence_does():
    """Whose terms in y alone are left out."""
    y = logits(2.0).roll(1, 0).softmax(1)

    def divergence(z, t1=0.8, t2=1.2):
        p = tempered_log_softmax(z, t2).exp()
        log_t = lambda u: (u ** (1 - t1) - 1) / (1 - t1)  # noqa: E731
        terms = y * (log_t(y) - log_t(p)) - (y ** (2 - t1) - p ** (2 - t1)) / (2 - t1)
        return terms.sum()

    def ours(z):
        return BiTempered().double()(Outputs(z), batch_of(y)).sum()

    assert y.shape[1] == CLASSES
    torch.testing.assert_close(
        torch.func.grad(ours)(logits()), torch.func.grad(divergence)(logits())
    )


@pytest.mark.parametrize(("t1", "t2", "name"), [(1.2, 1.2, "t1"), (0.8, 0.9, "t2")])
def test_a_temperature_outside_of_its_range_is_named(t1, t2, name):
    with pytest.raises(ValueError, match=rf"{name} = .* must lie in"):
        BiTempered(t1, t2)

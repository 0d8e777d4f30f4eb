"""SOP against the loop of its paper: two terms, each descended by autograd in its own variables."""

import torch
from torch.nn import functional as F

from methods.correction.over_parameterization import SMALLEST, OverParameterization
from methods.objective import Outputs, PhaseInfo, cross_entropy
from tests.methods.cases import CLASSES, EXAMPLES, hard, logits


def bound(**rates):
    method = OverParameterization(**rates)
    labels = torch.arange(EXAMPLES) % CLASSES
    method.bind(PhaseInfo(EXAMPLES, CLASSES, labels, labels.bincount()))
    return method.double()


def test_its_steps_are_those_of_two_plain_optimizers():
    method, y = bound(u_rate=2.0, v_rate=3.0), hard().y
    method.uv.copy_(torch.rand(EXAMPLES, CLASSES + 1, generator=torch.manual_seed(1)))
    u = method.uv[:, :1].clone().requires_grad_()
    v = method.uv[:, 1:].clone().requires_grad_()
    optimizers = [torch.optim.SGD([u], 2.0), torch.optim.SGD([v], 3.0)]
    for step in range(6):
        z = logits(1.0 + step).requires_grad_()
        plus, minus = (u**2 * y).clamp(0, 1), (v**2 * (1 - y)).clamp(0, 1)
        q = F.normalize((z.softmax(1) + plus - minus.detach()).clamp_min(SMALLEST), p=1)
        of_model = -(y * q.clamp_min(SMALLEST).log()).sum(1)
        wanted = F.one_hot(z.argmax(1), CLASSES) + plus - minus
        loss = of_model.mean() + F.mse_loss(wanted, y, reduction="sum") / EXAMPLES
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        found = method(Outputs(z), hard()).mean()
        torch.testing.assert_close(found, loss)
        torch.testing.assert_close(torch.autograd.grad(found, z)[0], z.grad)
        with torch.no_grad():
            method.after_step(Outputs(z.detach()), torch.zeros(EXAMPLES), hard())
        for optimizer in optimizers:
            optimizer.step()
        torch.testing.assert_close(method.uv, torch.cat([u, v], 1).detach())


def test_at_first_it_is_nearly_cross_entropy_for_the_model():
    z = logits().requires_grad_()
    (found,) = torch.autograd.grad(bound()(Outputs(z), hard()).sum(), z)
    (plain,) = torch.autograd.grad(cross_entropy(z, hard().y).sum(), z)
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-6)


def test_noise_beyond_the_bound_stays_where_a_step_has_left_it():
    """The paper's u and v lie in [-1, 1]; without a bound these rates made them infinite."""
    method = bound(u_rate=100.0, v_rate=100.0)
    for step in range(30):
        z = logits(1.0 + step).roll(step, 1)
        with torch.no_grad():
            method.after_step(Outputs(z), torch.zeros(EXAMPLES), hard())
    assert method.uv.isfinite().all() and method.uv.abs().amax() > 1
    loss = method(Outputs(logits()), hard())
    assert loss.isfinite().all() and loss.amax() < 2 * CLASSES + 10

"""What the README promises can be done as it says."""

import re
from pathlib import Path

import torch
from torch import Tensor

import run_sweep
from methods.objective import Batch, Outputs, cross_entropy
from methods.scalar_loss import Bounded, ScalarLoss
from tests.methods.cases import hard, logits, losses

README = (Path(run_sweep.__file__).parent / "README.md").read_text()


def test_every_command_exists():
    commands = {
        command.name or command.callback.__name__ for command in run_sweep.app.registered_commands
    }
    named = set(re.findall(r"^    \.venv/bin/untuned (\w+)", README, re.MULTILINE))
    assert {"launch", "report", "new"} <= named <= commands


def test_the_method_of_the_readme_is_one():
    """Its weight on cross-entropy's gradient is 1 - l / lambda, as PolySoft's with d = 2."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {
        n.__name__: n for n in (Batch, Bounded, ScalarLoss, Outputs, Tensor, cross_entropy)
    } | {"torch": torch}
    exec(code, names)
    for learn in (False, True):
        objective, z = names["PolySoft"](3.0, learn=learn), logits().requires_grad_()
        (slope,) = torch.autograd.grad(losses(objective, z).sum(), z)
        ce = cross_entropy(z, hard().y)
        (plain,) = torch.autograd.grad(ce.sum(), z)
        weight = (1 - ce.detach() / 3.0).clamp_min(0)
        torch.testing.assert_close(slope, weight[:, None] * plain, rtol=1e-5, atol=1e-6)

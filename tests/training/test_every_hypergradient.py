"""Every engine under every optimizer, look-ahead and kind of outputs, against double backward.

In float64, with BatchNorm networks and an optimizer that has a state.
"""

import pytest
import torch
from torch import Tensor, nn

from methods.objective import Batch, Objective, Outputs, cross_entropy
from pipelines.hypergradient.meta_step import MetaLearner
from pipelines.models.heads import Ensemble
from pipelines.models.network import Network
from pipelines.study.phases import Meta
from pipelines.study.protocol import Schedule
from pipelines.training.descent import Descent
from tests.hypergradient.one_step import CLASSES, EXAMPLES, batch_norm_net, relative_error

#: Differences of outputs step over the kinks of a ReLU: 4 % off where that matters most.
EXACT, CLOSE = 1e-10, {"finite_difference": 0.1, "one_sided_difference": 0.1}
PLAIN = {"weight_decay": 0.0, "momentum": 0.0}
OPTIMIZERS = {
    "sgd": PLAIN,
    "momentum": {"momentum": 0.9, "weight_decay": 5e-3},
    "nesterov": {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-3},
    "clipped": {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-3, "clip": 0.1},
    "adamw": {"optimizer": "adamw", "weight_decay": 1e-2},
    "adamw, clipped": {"optimizer": "adamw", "weight_decay": 1e-2, "clip": 0.1},
    "rmsprop": {"optimizer": "torch.optim:RMSprop", "weight_decay": 0.0},
    "own": {"optimizer": "tests.hypergradient.own_optimizers:Cubic", "weight_decay": 0.0},
}
LOOK_AHEADS = {
    "plain": {},
    "longer": {"lookahead_rate": 3.0},
    "own": {"step": "own"},
    "alternating": {"lookahead": "alternating"},
    "three steps": {"horizon": 3},
    "three own steps": {"horizon": 3, "step": "own"},
}
OUTPUTS = {
    "one network": (1, False),
    "features": (1, True),
    "two networks": (2, False),
    "two networks, features": (2, True),
}
#: The others are slow together, and tell what this one tells.
FAST = "two networks, features"


class Learned(Objective):
    """Weights by three numbers, of losses and features; and a weight decay that learns itself."""

    def __init__(self, networks: int, features: bool) -> None:
        super().__init__()
        self.networks, self.needs_features = networks, features
        self.mix = nn.Parameter(torch.tensor([0.7, -0.4, 0.3]))
        self.decay = nn.Parameter(torch.tensor(-4.0))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        total = torch.zeros(())
        for each in outputs.each():
            losses = cross_entropy(each.logits, batch.y)
            seen = losses * 0 if each.features is None else each.features.sin().mean(dim=1)
            weights = (self.mix[0] * losses + self.mix[1] * seen + self.mix[2]).sigmoid()
            total = total + weights * losses
        return total

    def penalty(self, parameters):
        return self.decay.exp() * torch.stack([p.square().sum() for p in parameters.values()]).sum()

    def meta_parameters(self):
        return [self.mix, self.decay]


class Setting:
    """A network that has taken two steps, and the batches of the next ones."""

    def __init__(self, optimizer, outputs):
        torch.manual_seed(0)
        networks, features = OUTPUTS[outputs]
        members = [batch_norm_net() for _ in range(networks)]
        self.network = Network(
            members[0] if networks == 1 else Ensemble(members), features, channels_last=False
        )
        self.objective = Learned(networks, features).double()
        schedule = Schedule.model_validate({"lr": 0.05} | OPTIMIZERS[optimizer])
        self.descent = Descent(schedule, self.network, self.objective, fused=False)
        self.rate = torch.tensor(0.05, dtype=torch.double)
        self.batches = [self._batch() for _ in range(3)]
        self.clean = self.batches[2].x.roll(5, 0), self.batches[2].y.roll(3, 0)
        for batch in self.batches[:2]:
            self.descent.step(self._loss(batch), self.rate)

    def _batch(self):
        y = torch.eye(CLASSES).double()[torch.randint(CLASSES, (EXAMPLES,))]
        nobody, index = torch.zeros(EXAMPLES, dtype=torch.bool), torch.arange(EXAMPLES)
        x = torch.randn(EXAMPLES, 1, 4, 4).double()
        return Batch(x, y, index, nobody, (0, 0, 0), torch.tensor(0.0))

    def _loss(self, batch):
        outputs = self.network.without_buffer_updates(batch.x)
        penalty = self.objective.penalty(self.network.parameters())
        return self.objective(outputs, batch).mean() + penalty

    def gradient(self, engine, how):
        """The hypergradient, flat; after an alternating one the parameters have moved."""
        meta = Meta(engine=engine, **how)
        learner = MetaLearner(self.objective, self.network, meta)
        batch, later = self.batches[0], self.batches[1 : meta.horizon]
        if meta.lookahead == "alternating":
            real = self.descent.real_step(self.rate)
            before, taken = self.descent.step(self._loss(batch), self.rate, real)
            found = learner.gradients(batch, self.clean, real, before, taken)
        else:
            step = self.descent.look_ahead(meta, self.rate)
            found = learner.gradients(batch, self.clean, step, later=later)
        return torch.cat([g.flatten() for g in found])


def engines_of(optimizer, look_ahead):
    """All but those that would be refused there (tests/study/test_phase_rules.py)."""
    how, own_code = LOOK_AHEADS[look_ahead], ":" in OPTIMIZERS[optimizer].get("optimizer", "")
    if own_code and how == LOOK_AHEADS["three own steps"]:
        return []
    engines = ["forward", *CLOSE]
    carried = not (own_code and "step" in how) and "lookahead" not in how
    return engines + ["forward_accumulation"] * carried


@pytest.mark.parametrize(
    "outputs", [pytest.param(o, marks=() if o == FAST else pytest.mark.slow) for o in OUTPUTS]
)
@pytest.mark.parametrize("look_ahead", LOOK_AHEADS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_engine_equals_double_backward(optimizer, look_ahead, outputs):
    how, setting = LOOK_AHEADS[look_ahead], Setting(optimizer, outputs)
    reference = {"step": "own"} if look_ahead == "alternating" else how
    expected = setting.gradient("double_backward", reference)
    assert expected.norm() > 0
    for engine in engines_of(optimizer, look_ahead):
        found = setting.gradient(engine, how)
        if look_ahead == "alternating":
            setting = Setting(optimizer, outputs)
        assert relative_error(found, expected) < CLOSE.get(engine, EXACT), engine

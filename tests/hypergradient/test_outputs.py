"""The hypergradient through every kind of outputs: one network or two, with or without features."""

import pytest
import torch
from torch import Tensor, nn

from methods.objective import Batch, Objective, Outputs, cross_entropy
from pipelines.hypergradient.meta_step import MetaLearner
from pipelines.models.heads import Ensemble
from pipelines.models.network import Network
from pipelines.study.phases import Meta
from tests.hypergradient.one_step import CLASSES, EXAMPLES, batch_norm_net, relative_error


class Learned(Objective):
    """Weights by a network of losses, and of features where there are any; all networks' losses."""

    def __init__(self, networks: int, features: bool) -> None:
        super().__init__()
        self.networks, self.needs_features = networks, features
        self.net = nn.Sequential(nn.Linear(1 + 10 * features, 5), nn.Tanh(), nn.Linear(5, 1))

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        total = torch.zeros(())
        for each in outputs.each():
            losses = cross_entropy(each.logits, batch.y)
            inputs = [losses[:, None]] + ([] if each.features is None else [each.features])
            total = total + self.net(torch.cat(inputs, dim=1)).sigmoid().squeeze(1) * losses
        return total

    def meta_parameters(self):
        return list(self.net.parameters())


def gradients(networks, features, engine):
    torch.manual_seed(0)
    members = [batch_norm_net() for _ in range(networks)]
    model = members[0] if networks == 1 else Ensemble(members)
    objective = Learned(networks, features).double()
    network = Network(model, features, channels_last=False)
    y = torch.eye(CLASSES).double()[torch.randint(CLASSES, (EXAMPLES,))]
    x, clean = torch.randn(2, EXAMPLES, 1, 4, 4).double()
    nobody = torch.zeros(EXAMPLES, dtype=torch.bool)
    batch = Batch(x, y, torch.arange(EXAMPLES), nobody, (0, 0, 0), torch.tensor(0.0))
    learner = MetaLearner(objective, network, Meta(engine=engine))
    found = learner.gradients(batch, (clean, y.roll(1, 0)), 0.3)
    return torch.cat([g.flatten() for g in found])


@pytest.mark.parametrize("networks", [1, 2])
@pytest.mark.parametrize("features", [False, True])
def test_forward_mode_equals_double_backward(networks, features):
    expected = gradients(networks, features, "double_backward")
    assert expected.norm() > 0
    assert relative_error(gradients(networks, features, "forward"), expected) < 1e-10
    assert relative_error(gradients(networks, features, "finite_difference"), expected) < 1e-3

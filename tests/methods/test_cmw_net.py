"""CMW-Net: its clusters of classes, and what it is without them."""

import pytest
import torch
from sklearn.cluster import KMeans

from methods.meta.cmw_net import CMWNet, clusters_of
from methods.meta.meta_weight_net import MetaWeightNet
from methods.objective import Outputs, PhaseInfo
from tests.methods.cases import CLASSES, EXAMPLES, batch_of, hard, logits, losses, p_of

#: Of CIFAR-10 with imbalance factor 100.
LONG_TAIL = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


def bound(sizes, **hyperparameters):
    torch.manual_seed(0)
    objective = CMWNet(hidden=8, **hyperparameters)
    counts = torch.tensor(sizes)
    objective.bind(PhaseInfo(EXAMPLES, len(sizes), torch.arange(EXAMPLES), counts))
    return objective.double()


def spread(sizes, labels):
    groups = [sizes[labels == c].double() for c in labels.unique()]
    return sum(float((g - g.mean()).square().sum()) for g in groups)


@pytest.mark.parametrize("sizes", [LONG_TAIL, [62, 75, 71, 64, 70, 68, 66, 73, 59, 80], [1, 9, 9]])
@pytest.mark.parametrize("clusters", [1, 2, 3])
def test_clusters_are_those_of_the_best_of_many_k_means(sizes, clusters):
    sizes = torch.tensor(sizes)
    found = clusters_of(sizes, clusters)
    means = KMeans(min(clusters, len(sizes.unique())), n_init=50, random_state=0)
    best = means.fit(sizes[:, None].numpy())
    assert spread(sizes, found) == pytest.approx(best.inertia_)
    order = sizes.argsort()
    assert (found[order].diff() >= 0).all() and found.min() == 0


def test_the_clusters_of_an_imbalance_factor_of_100():
    assert clusters_of(torch.tensor(LONG_TAIL), 3).tolist() == [2, 1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_classes_of_equal_size_are_one_cluster():
    assert clusters_of(torch.full((4,), 7), 3).tolist() == [0, 0, 0, 0]
    assert clusters_of(torch.tensor([3, 8, 3, 8]), 3).tolist() == [0, 1, 0, 1]


def test_the_weight_of_an_example_is_that_of_its_labels_cluster_by_its_loss():
    objective, ce = bound([1, 2, 3, 10, 30]), -p_of(logits()).log()
    clusters = clusters_of(torch.tensor([1, 2, 3, 10, 30]), 3)[hard().y.argmax(1)]
    heads = objective.heads(objective.shared(ce[:, None])).sigmoid()
    weights = heads[torch.arange(EXAMPLES), clusters]
    expected = EXAMPLES * weights / weights.sum() * ce
    torch.testing.assert_close(losses(objective, logits()), expected)


def as_meta_weight_net(objective):
    """Meta-Weight-Net with the shared layer and the first head."""
    plain = MetaWeightNet(hidden=8).double()
    plain.net[0].load_state_dict(objective.shared[0].state_dict())
    plain.net[2].load_state_dict({n: v[:1] for n, v in objective.heads.state_dict().items()})
    return plain


@pytest.mark.parametrize("why", ["one cluster", "equal sizes", "equal heads"])
def test_with_one_weight_function_it_is_meta_weight_net(why):
    objective = bound([4] * CLASSES if why == "equal sizes" else [1, 2, 3, 10, 30],
                      clusters=1 if why == "one cluster" else 3)  # fmt: skip
    if why == "equal heads":
        with torch.no_grad():
            for value in objective.heads.parameters():
                value.copy_(value[:1].expand_as(value).clone())
    z, soft = logits().requires_grad_(), logits(2.0).roll(1, 0).softmax(1)
    for batch in (hard(), batch_of(soft)):
        ours, theirs = (o(Outputs(z), batch) for o in (objective, as_meta_weight_net(objective)))
        torch.testing.assert_close(ours, theirs)
        slopes = [torch.autograd.grad(each.sum(), z)[0] for each in (ours, theirs)]
        torch.testing.assert_close(*slopes)


def test_its_weight_functions_are_shown_from_the_smallest_classes_on():
    curves = bound([1, 2, 3, 10, 30]).learned()
    assert list(curves) == [f"weight_function_{n}" for n in (1, 2, 3)]
    assert list(bound([4] * CLASSES).learned()) == ["weight_function_1"]

"""SMOTE: synthetic points lie between neighbours of one class, and classes come out alike."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch.nn import functional as F

from methods.objective import Batch, Outputs, PhaseInfo, cross_entropy, generator
from methods.weighting.smote import Smote
from tests.methods.cases import hard, logits

COUNTS = torch.tensor([40, 8, 3, 1])
LABELS = torch.arange(4).repeat_interleave(COUNTS)
X = torch.randn(len(LABELS), 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def labels_are(number):
    return number == LABELS


def bound(**options):
    method = Smote(**options)
    method.bind(PhaseInfo(len(LABELS), 4, LABELS, COUNTS, inputs=lambda rows: X[rows]))
    method.begin_epoch(0, lambda pool=None: pytest.fail("it needs no predictions"))
    return method


def batch_of(rows, step=0):
    flags = torch.zeros(len(rows), dtype=torch.bool)
    y = F.one_hot(LABELS[rows], 4).double()
    return Batch(X[rows], y, rows, flags, (3, 0, 0, step), torch.tensor(0.5))


def drawn(method, number=4000):
    rows = torch.multinomial(method.of_row, number, True, generator=generator("drawn"))
    return rows, method.before_step(batch_of(rows), Outputs)


def test_neighbours_are_scikit_learns_in_the_class_and_never_the_example_itself():
    nearest = bound().nearest
    for c, k in ((1, 5), (2, 2)):
        rows = (labels_are(c)).nonzero().squeeze(1)
        _, found = NearestNeighbors(n_neighbors=k + 1).fit(X[rows]).kneighbors(X[rows])
        for row, others in zip(rows, found[:, 1:], strict=True):
            assert set(nearest[row, :k].tolist()) == set(rows[others].tolist()) - {int(row)}


def test_a_synthetic_point_lies_on_the_segment_to_a_neighbour_of_its_class():
    method = bound()
    rows, batch = drawn(method)
    made = (batch.x != X[rows]).any(dim=1)
    assert made.any() and (LABELS[rows[made]] != 0).all()  # none of the largest class
    for row, point in zip(rows[made][:200], batch.x[made][:200], strict=True):
        ends = X[method.nearest[row, : method.number[LABELS[row]]]] - X[row]
        way = ((point - X[row]) * ends).sum(1) / ends.square().sum(1)
        off = (point - X[row] - way[:, None] * ends).norm(dim=1)
        best = off.argmin()
        assert off[best] < 1e-6 and 0 <= way[best] <= 1


def test_classes_are_drawn_alike_and_so_many_are_synthetic_as_they_lack():
    """Class c has n_c of the n_max examples that it would need: chi square at 3 degrees."""
    method = bound()
    rows, batch = drawn(method)
    seen = LABELS[rows].bincount(minlength=4).double()
    assert ((seen - 1000) ** 2 / 1000).sum() < 16.3  # of p = 0.001
    torch.testing.assert_close(method.synthetic, 1 - COUNTS.double() / 40)
    made = (batch.x != X[rows]).any(dim=1)
    for c in (1, 2):
        share = made[LABELS[rows] == c].double().mean()
        assert abs(share - method.synthetic[c]) < 4 * np.sqrt(0.25 / 1000)


def test_rho_is_the_way_from_the_frequencies_that_there_are_to_equal_ones():
    assert torch.equal(bound(rho=0.0).of_row, torch.ones(len(LABELS)).double())
    assert torch.equal(bound(rho=0.0).synthetic, torch.zeros(4).double())
    totals = [bound(rho=0.5).of_row[labels_are(c)].sum() for c in range(4)]
    expected = COUNTS.double().sqrt() / COUNTS.double().sqrt()[0] * totals[0]
    torch.testing.assert_close(torch.stack(totals), expected)


def test_a_class_of_one_example_has_copies_of_it():
    rows, batch = drawn(bound())
    assert torch.equal(batch.x[LABELS[rows] == 3], X[rows][LABELS[rows] == 3])


def test_a_step_that_is_taken_again_has_the_same_points_and_another_step_others():
    method, rows = bound(), torch.arange(len(LABELS))
    first, again, later = (
        method.before_step(batch_of(rows, step), Outputs).x for step in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, later)


def test_its_loss_is_cross_entropy():
    found = bound()(Outputs(logits()), replace(hard()))
    torch.testing.assert_close(found, cross_entropy(logits(), hard().y))


@pytest.mark.parametrize("k", [0, 2.5])
def test_the_number_of_neighbours_is_a_whole_one(k):
    with pytest.raises(ValueError, match=r"k = .* must be a whole number from 1 on"):
        Smote(k=k)

"""What several annotators' answers say of an example, and of the annotators."""

import numpy as np
import pytest

from pipelines.data.annotators import dawid_skene
from pipelines.suspects.crowd import annotators, dissent
from tests.data.test_annotators import answers, crowd


def test_dissent_is_the_share_of_answers_that_are_another_label():
    some = answers((4, "a", 1), (4, "b", 1), (4, "c", 0), (7, "a", 2), classes=3)
    found = dissent(some, np.array([4, 4, 4, 7, 9, 0]), np.array([1, 0, 2, 2, 0, 0]))
    assert found.tolist() == pytest.approx([1 / 3, 2 / 3, 1, 0, np.nan, np.nan], nan_ok=True)


def test_annotators_are_told_by_how_they_err():
    some, truth = crowd()
    found = {each["name"]: each for each in annotators(some)}
    true_share = {
        name: (some.labels == truth[some.rows])[some.by == k].mean()
        for k, name in enumerate(some.annotators)
    }
    for name, each in found.items():
        assert each["answers"] == 400
        assert each["right"] == pytest.approx(true_share[name], abs=0.03)
    assert np.array(found["lazy"]["confusion"])[:, 0] == pytest.approx(1, abs=0.02)
    confusion = dawid_skene(some)[1][some.annotators.index("good1")]
    np.testing.assert_allclose(found["good1"]["confusion"], confusion, atol=1e-4)


def test_who_has_given_most_answers_comes_first():
    some = answers((0, "a", 1), (0, "b", 1), (1, "b", 0), (2, "b", 0))
    assert [(each["name"], each["answers"]) for each in annotators(some)] == [("b", 3), ("a", 1)]

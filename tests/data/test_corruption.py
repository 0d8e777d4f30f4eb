"""Noise laws have the rates that the literature states, and imbalance the published class sizes."""

import numpy as np
import pytest

from pipelines.data.corruption import class_sizes, corrupt, thin
from pipelines.data.corruption import transition as transition_of
from pipelines.data.known_classes import CIFAR10, CIFAR100, MNIST
from pipelines.errors import UserError
from pipelines.study.label_corruption import Noise

PAIRS = {"groups": [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]}
KINDS = [
    ("none", {}),
    ("uniform", {}),
    ("symmetric", {}),
    ("asymmetric", {"map": {9: 1, 3: 5}}),
    ("asymmetric", PAIRS),
    ("flip", {}),
    ("flip2", {}),
    ("pair", {}),
    ("hierarchical", PAIRS),
    ("background", {}),
]


def transition(kind, classes, rate, rng, **options) -> np.ndarray:
    """Of so many classes that are called by their numbers, or of named ones."""
    names = [str(c) for c in range(classes)] if isinstance(classes, int) else classes
    rate = 0.0 if kind == "none" else rate
    return transition_of(Noise(kind=kind, rate=rate, **options), names, rng)


FINE = sorted(name for names in CIFAR100.values() for name in names.split())


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def wrong(matrix: np.ndarray) -> float:
    """Expected share of wrong labels with equally frequent classes."""
    return 1 - matrix.diagonal().mean()


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
def test_rows_of_a_noise_law_are_distributions(kind, options, rate):
    matrix = transition(kind, 10, rate, rng(), **options)
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "classes", "rate", "actual"),
    [
        ("none", 10, 0.4, 0.0),
        ("uniform", 10, 0.4, 0.36),
        ("uniform", 100, 0.4, 0.396),
        ("uniform", 10, 0.6, 0.54),
        ("symmetric", 10, 0.4, 0.4),
        ("symmetric", 100, 0.6, 0.6),
        ("flip", 10, 0.4, 0.4),
        ("flip2", 10, 0.4, 0.4),
        ("pair", 10, 0.45, 0.45),
        ("background", 10, 0.4, 0.36),
        ("asymmetric", CIFAR10, 0.4, 0.2),
        ("asymmetric", MNIST, 0.4, 0.2),
        ("asymmetric", FINE, 0.4, 0.4),
        ("hierarchical", FINE, 0.4, 0.4),
    ],
)
def test_actual_rate_at_nominal_rate(kind, classes, rate, actual):
    matrix = transition(kind, classes, rate, rng())
    assert wrong(matrix) == pytest.approx(actual)
    classes = len(matrix)
    labels = np.repeat(np.arange(classes), 20_000 // classes)
    measured = (corrupt(labels, matrix, rng(1)) != labels).mean()
    assert abs(measured - actual) <= 4 * np.sqrt(actual * (1 - actual) / len(labels))


def test_uniform_may_draw_the_true_class_and_symmetric_may_not():
    labels = np.zeros(1000, np.int64)
    assert (corrupt(labels, transition("uniform", 4, 1.0, rng()), rng()) == 0).any()
    assert (corrupt(labels, transition("symmetric", 4, 1.0, rng()), rng()) != 0).all()


@pytest.mark.parametrize(
    ("classes", "pairs"),
    [
        (CIFAR10, [(9, 1), (2, 0), (4, 7), (3, 5), (5, 3)]),
        (MNIST, [(2, 7), (3, 8), (5, 6), (6, 5), (7, 1)]),
    ],
    ids=["cifar10", "mnist"],
)
def test_asymmetric_is_the_map_of_the_data(classes, pairs):
    matrix = transition("asymmetric", classes, 0.3, rng())
    expected = np.eye(10)
    for source, target in pairs:
        expected[source, source], expected[source, target] = 0.7, 0.3
    assert np.array_equal(matrix, expected)


def test_the_classes_of_a_map_are_found_by_name_in_any_order():
    turned = transition("asymmetric", CIFAR10[::-1], 0.3, rng())
    assert np.array_equal(turned, transition("asymmetric", CIFAR10, 0.3, rng())[::-1, ::-1])


def test_a_given_map_is_of_names_or_numbers():
    by_name = transition("asymmetric", ["a", "b", "c"], 0.4, rng(), map={"c": "a"})
    by_number = transition("asymmetric", ["a", "b", "c"], 0.4, rng(), map={2: 0})
    assert by_name.tolist() == by_number.tolist() == [[1, 0, 0], [0, 1, 0], [0.4, 0, 0.6]]


def test_pairs_turn_into_the_next_class_and_the_last_into_the_first():
    matrix = transition("pair", 4, 0.45, rng())
    expected = [[0.55, 0.45, 0, 0], [0, 0.55, 0.45, 0], [0, 0, 0.55, 0.45], [0.45, 0, 0, 0.55]]
    assert matrix.tolist() == expected


def test_all_classes_turn_into_the_background_which_the_seed_draws():
    given = transition("background", ["a", "b", "c"], 0.25, rng(), background="b")
    assert given.tolist() == [[0.75, 0.25, 0], [0, 1, 0], [0, 0.25, 0.75]]
    drawn = [transition("background", 10, 1.0, rng(seed)) for seed in range(100)]
    assert all(matrix[:, matrix[0].argmax()].all() for matrix in drawn)
    assert {int(matrix[0].argmax()) for matrix in drawn} == set(range(10)), "the last one, too"


def test_superclasses_of_cifar100_are_twenty_fives_of_its_hundred_classes():
    assert len(CIFAR100) == 20 and len(set(FINE)) == 100
    assert {len(names.split()) for names in CIFAR100.values()} == {5}
    assert all(names.split() == sorted(names.split()) for names in CIFAR100.values())


def test_hierarchical_goes_to_the_others_of_the_superclass_alike():
    matrix = transition("hierarchical", FINE, 0.4, rng())
    beaver = FINE.index("beaver")
    others = [FINE.index(name) for name in ("dolphin", "otter", "seal", "whale")]
    assert matrix[beaver, others].tolist() == pytest.approx([0.1] * 4)
    assert matrix[beaver, beaver] == pytest.approx(0.6)
    assert ((matrix > 0).sum(axis=1) == 5).all()


def test_asymmetric_goes_to_the_next_of_the_superclass_and_from_the_last_to_the_first():
    matrix = transition("asymmetric", FINE, 0.4, rng())
    for source, target in (("beaver", "dolphin"), ("seal", "whale"), ("whale", "beaver")):
        assert matrix[FINE.index(source), FINE.index(target)] == 0.4
    assert ((matrix > 0).sum(axis=1) == 2).all() and ((matrix > 0).sum(axis=0) == 2).all()


@pytest.mark.parametrize(("kind", "others"), [("flip", 1), ("flip2", 2)])
def test_flips_go_to_other_classes_that_vary_with_the_seed(kind, others):
    maps = [transition(kind, 10, 1.0, rng(seed)) for seed in range(50)]
    for matrix in maps:
        assert not matrix.diagonal().any()
        assert ((matrix > 0).sum(axis=1) == others).all()
        assert set(matrix[matrix > 0]) == {1 / others}
    assert len({matrix.tobytes() for matrix in maps}) == 50
    assert (np.sum(maps, axis=0) + 100 * np.eye(10) > 0).all(), "some class is never a target"


@pytest.mark.parametrize(
    ("kind", "classes", "message"),
    [
        ("flip2", 2, "at least 3 classes, the data has 2"),
        ("flip", 1, "at least 2 classes"),
        ("symmetric", 1, "at least 2 classes"),
    ],
)
def test_kinds_that_need_other_classes_are_refused(kind, classes, message):
    with pytest.raises(UserError, match=message):
        transition(kind, classes, 0.4, rng())


@pytest.mark.parametrize(
    ("kind", "classes", "options", "message"),
    [
        (
            "asymmetric",
            10,
            {},
            "CIFAR-10, CIFAR-100 and MNIST.*these are 0, 1,.*noise.map",
        ),
        ("hierarchical", 10, {}, "superclasses are known of CIFAR-100.*noise.groups"),
        ("asymmetric", 3, {"map": {"4": "1"}}, "noise.map: '4' is no class; allowed are 0, 1, 2"),
        ("background", 3, {"background": "z"}, "noise.background: 'z' is no class"),
        ("hierarchical", 3, {"groups": [[0, 1]]}, "class '2' is in 0 of them, must be in one"),
        ("hierarchical", 3, {"groups": [[0, 1], [1, 2]]}, "class '1' is in 2 of them"),
    ],
)
def test_what_a_kind_needs_to_know_of_the_classes_is_asked_for(kind, classes, options, message):
    with pytest.raises(UserError, match=message) as caught:
        transition(kind, classes, 0.4, rng(), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "flip", "map": {"a": "b"}}, "map is an option of asymmetric, not of flip"),
        ({"kind": "pair", "groups": [["a", "b"]]}, "of hierarchical and asymmetric, not of pair"),
        ({"kind": "uniform", "background": "a"}, "background is an option of background, not of"),
        ({"kind": "asymmetric", "map": {"a": "a"}}, "'a' turns into itself"),
        ({"kind": "asymmetric", "map": {}}, "at least 1"),
        ({"kind": "hierarchical", "groups": [["a"]]}, "at least 2"),
        ({"kind": "asymmetric", "map": {1: 2}, "groups": [[1, 2]]}, "map and groups: give one"),
    ],
)
def test_options_of_another_kind_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Noise(rate=0.4, **options)


def test_labels_follow_each_row_of_the_law():
    matrix = np.array([[0.5, 0.2, 0.3], [0.0, 1.0, 0.0], [0.9, 0.0, 0.1]])
    labels = np.repeat(np.arange(3), 20_000)
    given = corrupt(labels, matrix, rng())
    frequencies = [np.bincount(given[labels == c], minlength=3) / 20_000 for c in range(3)]
    np.testing.assert_allclose(frequencies, matrix, atol=0.015)
    assert (given[labels == 1] == 1).all(), "an impossible label was drawn"


def test_same_seed_same_labels_and_arguments_are_left_alone():
    labels = np.arange(1000) % 10
    before, law = labels.copy(), transition("symmetric", 10, 0.5, rng())
    first, again, other = (corrupt(labels, law, rng(seed)) for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()
    assert (labels == before).all()
    assert first.dtype == np.int64


OF_10, OF_100 = np.full(10, 5000), np.full(100, 500)


def test_exponential_profile_of_long_tailed_cifar10():
    sizes = class_sizes("exponential", OF_10, 100)
    assert sizes.tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


@pytest.mark.parametrize(
    ("counts", "totals"),
    [
        (OF_10, [11203, 12406, 13996, 17023, 20431]),
        (OF_10 - 10, [11177, 12380, 13967, 16989, 20391]),
        (OF_100, [9502, 10847, 12608, 15907, 19573]),
        (OF_100 - 10, [9304, 10626, 12354, 15594, 19183]),
    ],
    ids=["cifar10", "cifar10 less meta", "cifar100", "cifar100 less meta"],
)
def test_published_totals_of_long_tailed_cifar(counts, totals):
    factors = (200, 100, 50, 20, 10)
    assert [class_sizes("exponential", counts, f).sum() for f in factors] == totals


def test_step_divides_the_second_half_of_the_classes():
    assert class_sizes("step", OF_10, 100).tolist() == [5000] * 5 + [50] * 5
    assert class_sizes("step", np.full(3, 40), 4).tolist() == [40, 40, 10]


def test_profile_is_exact_when_classes_differ_in_size():
    counts = np.array([100, 30, 100])
    sizes = class_sizes("exponential", counts, 4)
    assert (sizes <= counts).all()
    assert sizes.tolist() == [60, 30, 15]


@pytest.mark.parametrize("kind", ["exponential", "step"])
def test_a_size_that_is_a_whole_number_is_not_rounded_down(kind):
    """In floating point 98 / 98 comes out below 1."""
    assert class_sizes(kind, np.full(2, 98), 98).tolist() == [98, 1]


def test_the_largest_class_is_not_rounded_down_either():
    """In floating point 27 ** (1 / 3) comes out below 3."""
    assert class_sizes("exponential", np.array([3, 1, 1, 1]), 27).tolist() == [3, 1, 0, 0]


def test_no_imbalance_keeps_everything():
    assert class_sizes("none", np.array([3, 1, 2]), 1).tolist() == [3, 1, 2]
    assert class_sizes("exponential", np.array([5, 5]), 1).tolist() == [5, 5]


def test_thinning_keeps_random_examples_of_each_class():
    labels = np.tile(np.arange(3), 100)
    kept = thin(labels, np.array([50, 5, 0]), rng())
    assert np.bincount(labels[kept], minlength=3).tolist() == [50, 5, 0]
    assert (np.diff(kept) > 0).all()
    assert (thin(labels, np.array([50, 5, 0]), rng()) == kept).all()
    assert set(thin(labels, np.array([50, 5, 0]), rng(1))) != set(kept)

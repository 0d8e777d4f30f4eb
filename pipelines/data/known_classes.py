"""What is known of the classes of some data sets, by the names that these have.

Which class turns into which in `asymmetric` noise, and which classes make a superclass. Names say
what data it is; ten classes called 0 ... 9 may be anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CIFAR10 = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
MNIST = (
    "0 - zero",
    "1 - one",
    "2 - two",
    "3 - three",
    "4 - four",
    "5 - five",
    "6 - six",
    "7 - seven",
    "8 - eight",
    "9 - nine",
)
#: CIFAR-100's superclasses, each in the order of its classes' numbers (Krizhevsky 2009).
CIFAR100 = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}
#: Patrini et al., CVPR 2017.
CIFAR10_CONFUSIONS = {
    "truck": "automobile",
    "bird": "airplane",
    "deer": "horse",
    "cat": "dog",
    "dog": "cat",
}
MNIST_CONFUSIONS = {
    MNIST[source]: MNIST[target] for source, target in ((2, 7), (3, 8), (5, 6), (6, 5), (7, 1))
}


def confusions_of(classes: Sequence[str]) -> Mapping[str, str] | None:
    """Which class turns into which in data with classes of these names; None if it is not known."""
    maps = ((CIFAR10, CIFAR10_CONFUSIONS), (MNIST, MNIST_CONFUSIONS))
    return next((known for names, known in maps if set(names) == set(classes)), None)


def groups_of(classes: Sequence[str]) -> list[list[str]] | None:
    """The superclasses of data with classes of these names; None if they are not known."""
    groups = [names.split() for names in CIFAR100.values()]
    return groups if {name for group in groups for name in group} == set(classes) else None

"""Arms that need no entry: what a loss does with the clean labels, too.

Behind the name of a loss on the noisy labels, tuned or plain: NAME_plus_meta, NAME_finetune.
"""

from collections.abc import Callable
from typing import Any

from optuna.distributions import IntDistribution as Int

from search_spaces.arms.clean_labels import FINETUNE
from search_spaces.arms.shallow import LOGISTIC, TREES

Entry = dict[str, Any]

# How often the clean examples are repeated in an epoch of train+meta.
REPEAT = {"meta_repeat": Int(1, 30, log=True)}


def on_noisy_labels(entry: Entry) -> bool:
    """Whether an entry is a loss that uses no clean labels."""
    return entry.get("kind") in ("plain", "tuned loss") and _pools(entry) == {"train"}


def is_shallow(entry: Entry) -> bool:
    """Whether an entry is a model that is no network, on the noisy labels."""
    methods = {phase.get("method") for phase in entry.get("phases", [])}
    return bool(methods) and methods <= {LOGISTIC, TREES}


def _pools(entry: Entry) -> set[str]:
    return {phase.get("pool", "train") for phase in entry.get("phases", [])}


def plus_meta(entry: Entry) -> Entry | None:
    """The same loss on the noisy and the clean examples; how often these are repeated is tuned."""
    shallow = is_shallow(entry)
    if not on_noisy_labels(entry) and not shallow:
        return None
    return {
        **({"knobs": entry["knobs"]} if shallow else {}),
        "about": f"{entry['about']}, on the noisy and the clean examples",
        "kind": "control" if shallow else "tuned loss",
        "phases": [phase | {"pool": "train+meta"} for phase in entry["phases"]],
        "default": entry.get("default", {}) | {"meta_repeat": 10},
        "space": entry.get("space", {}) | REPEAT,
    }


def finetune(entry: Entry) -> Entry | None:
    """The same loss on the noisy labels, then cross-entropy on the clean ones."""
    if not on_noisy_labels(entry):
        return None
    names = [phase.get("name", "train") for phase in entry["phases"]]

    def of_a_phase(addresses: dict[str, Any]) -> dict[str, Any]:
        """Addresses that were of every phase, but not of the one that is added."""
        return {
            address if address.split(".")[0] in names else f"{name}.{address}": value
            for address, value in addresses.items()
            for name in names
        }

    space = of_a_phase(entry.get("space", {}))
    return {
        "about": f"{entry['about']}, then cross-entropy on the clean examples",
        "kind": "tuned loss" if space else "control",
        "phases": [*entry["phases"], FINETUNE],
        "default": of_a_phase(entry.get("default", {})),
        "space": space,
    }


#: By suffix; None where an arm has no such twin.
DERIVED: dict[str, Callable[[Entry], Entry | None]] = {
    "_plus_meta": plus_meta,
    "_finetune": finetune,
}

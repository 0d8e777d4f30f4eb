"""Controls that use the clean labels in the simplest ways.

An epoch on clean examples alone is a step or two, so that in a short schedule the first three of
them are starved: with 6 epochs `clean_only` takes 6 steps where `ce` takes 66. They stay as they
were released, and so do their keys; the `_long` ones take as many steps as other arms.
"""

from search_spaces.arms.losses import CE

LONG = {"method": CE, "epoch_size": "train"}
FINETUNE = {
    "name": "finetune",
    "method": CE,
    "pool": "meta",
    "schedule": {"lr": 0.01, "decay": "constant", "warmup_epochs": 0},
}

ARMS = {
    "clean_only": {
        "about": "control: the clean meta examples alone",
        "kind": "control",
        "phases": [{"method": CE, "pool": "meta"}],
    },
    "clean_only_all": {
        "about": "control: the clean meta and val examples alone",
        "kind": "control",
        "phases": [{"method": CE, "pool": "meta+val"}],
    },
    "finetune": {
        "about": "control: cross-entropy on the noisy labels, then on the clean ones",
        "kind": "control",
        "phases": [
            {"name": "noisy", "method": CE},
            FINETUNE,
        ],
        "knobs": ["noisy.schedule.lr", "finetune.schedule.lr", "finetune.epochs"],
    },
    "clean_only_long": {
        "about": "control: the clean meta examples alone, for as many steps as other arms",
        "kind": "control",
        "phases": [LONG | {"pool": "meta"}],
    },
    "clean_only_all_long": {
        "about": "control: the clean meta and val examples alone, for as many steps as other arms",
        "kind": "control",
        "phases": [LONG | {"pool": "meta+val"}],
    },
    "finetune_long": {
        "about": "control: cross-entropy on the noisy labels, then half as many steps on the clean "
        "ones",
        "kind": "control",
        "phases": [
            {"name": "noisy", "method": CE},
            FINETUNE | LONG | {"epochs": 0.5},
        ],
        "knobs": ["noisy.schedule.lr", "finetune.schedule.lr", "finetune.epochs"],
    },
}

"""Controls that use the clean labels in the simplest ways."""

from search_spaces.arms.losses import CE

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
            {
                "name": "finetune",
                "method": CE,
                "pool": "meta",
                "schedule": {"lr": 0.01, "decay": "constant", "warmup_epochs": 0},
            },
        ],
        "knobs": ["noisy.schedule.lr", "finetune.schedule.lr", "finetune.epochs"],
    },
}

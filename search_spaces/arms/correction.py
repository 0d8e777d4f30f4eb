"""Losses and labels corrected for the noise."""

from typing import Any

from optuna.distributions import FloatDistribution as Float
from optuna.distributions import IntDistribution as Int

from search_spaces.arms.losses import CE

BOOTSTRAP = "methods.correction.bootstrapping:Bootstrapping"
NOISE_LAYER = "methods.correction.noise_layer:NoiseLayer"
NOISY = {"name": "noisy", "method": CE}


def corrected(how: str, method: str) -> dict[str, Any]:
    """A correction by the transition matrix that the first phase's model gives."""
    return {
        "about": f"{how} correction, transition matrix estimated (Patrini et al. 2017)",
        "kind": "tuned loss",
        "phases": [
            NOISY,
            {"name": "corrected", "method": f"methods.correction.{method}", "start": "fresh"},
        ],
        "default": {"corrected.quantile": 0.97},
        "space": {"corrected.quantile": Float(0.9, 1.0)},
    }


ARMS = {
    "glc": {
        "about": "gold loss correction (Hendrycks et al. 2018)",
        "kind": "control",
        "phases": [
            NOISY,
            {
                "name": "corrected",
                "method": "methods.correction.gold_loss_correction:GoldLossCorrection",
                "pool": "train+meta",
                "start": "initial",
            },
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "corrected.meta_repeat"],
    },
    # Patrini et al. 2017: the 97th percentile where classes are few, none where they are many.
    "forward": corrected("forward", "forward_correction:ForwardCorrection"),
    "backward": corrected("backward", "backward_correction:BackwardCorrection"),
    "forward_oracle": {
        "about": "oracle: forward correction with the true transition matrix, an upper bound "
        "(Patrini et al. 2017)",
        "kind": "oracle",
        "phases": [{"method": "methods.correction.forward_oracle:ForwardOracle"}],
    },
    # Liu et al. 2022: 10 and 10 on CIFAR-10, 1 and 100 on others; as they tried them.
    "sop": {
        "about": "sparse over-parameterization of the noise (Liu et al. 2022)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.correction.over_parameterization:OverParameterization"}],
        "default": {"u_rate": 10.0, "v_rate": 10.0},
        "space": {
            "u_rate": Float(0.1, 100.0, log=True),
            "v_rate": Float(0.1, 100.0, log=True),
        },
    },
    "mlc": {
        "about": "meta label correction (Zheng et al. 2021)",
        "kind": "meta-learned labels",
        "phases": [
            {
                "method": "methods.correction.meta_label_correction:MetaLabelCorrection",
                "pool": "train+meta",
                "meta": {"lr": 3e-4},
            }
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "meta.lr", "hidden"],
    },
    # Reed et al. 2015, and several codes after it: 0.95, and 0.8 where the likeliest class counts.
    "bootstrap_soft": {
        "about": "soft bootstrapping (Reed et al. 2015)",
        "kind": "tuned loss",
        "phases": [{"method": BOOTSTRAP}],
        "default": {"beta": 0.95},
        "space": {"beta": Float(0.5, 1.0)},
    },
    "bootstrap_hard": {
        "about": "hard bootstrapping (Reed et al. 2015)",
        "kind": "tuned loss",
        "phases": [{"method": BOOTSTRAP, "hyperparameters": {"soft": False}}],
        "default": {"beta": 0.8},
        "space": {"beta": Float(0.5, 1.0)},
    },
    # The start is no published value: the paper starts at the confusion of a first model.
    "noise_layer": {
        "about": "noise adaptation layer (Goldberger & Ben-Reuven 2017)",
        "kind": "tuned loss",
        "phases": [{"method": NOISE_LAYER}],
        "default": {"noise": 0.1},
        "space": {"noise": Float(0.01, 0.5, log=True)},
    },
    "noise_layer_oracle": {
        "about": "oracle: the noise layer, begun at the true rate of wrong labels "
        "(Goldberger & Ben-Reuven 2017)",
        "kind": "oracle",
        "phases": [{"method": NOISE_LAYER, "hyperparameters": {"noise": "measured"}}],
    },
    "d2l": {
        "about": "dimensionality-driven learning (Ma et al. 2018)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.correction.dimensionality_driven:DimensionalityDriven"}],
        "default": {"window": 5},
        "space": {"window": Int(3, 10)},
    },
    # Wu et al. 2021: after 80 of 120 epochs, Adam 1e-3 with a weight decay of 1e-4.
    "mslc": {
        "about": "meta soft label correction (Wu et al. 2021)",
        "kind": "meta-learned labels",
        "phases": [
            NOISY | {"epochs": 2 / 3, "schedule": {"decay": "constant"}},
            {
                "name": "corrected",
                "method": "methods.correction.meta_soft_labels:MetaSoftLabels",
                "epochs": 1 / 3,
                "meta": {"lr": 1e-3, "weight_decay": 1e-4},
            },
        ],
        "knobs": ["schedule.lr", "schedule.weight_decay", "corrected.meta.lr", "corrected.hidden"],
    },
    # Liu & Guo 2020: 0.95 after 100 of 250 epochs in the authors' code for CIFAR-100, up to 5 there
    # for CIFAR-10; the range is ours.
    "peer_loss": {
        "about": "peer loss: what agrees with labels as such is taken away (Liu & Guo 2020)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.correction.peer_loss:PeerLoss"}],
        "default": {"alpha": 0.95, "warmup": 0.4},
        "space": {"alpha": Float(0.05, 5.0, log=True), "warmup": Float(0.05, 0.6)},
    },
    # Li et al. 2021: 1e-4; the range is ours.
    "volminnet": {
        "about": "VolMinNet: transition matrix of least volume, trained along (Li et al. 2021)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.correction.minimum_volume:MinimumVolume"}],
        "default": {"lam": 1e-4},
        "space": {"lam": Float(1e-6, 1e-1, log=True)},
    },
}

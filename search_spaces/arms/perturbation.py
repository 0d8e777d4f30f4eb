"""Inputs that are made harder: augmented copies, adversarial perturbations."""

from optuna.distributions import FloatDistribution as Float
from optuna.distributions import IntDistribution as Int

ADVERSARIAL = "methods.perturbation.adversarial_training:AdversarialTraining"
FREE = "methods.perturbation.free_adversarial_training:FreeAdversarialTraining"
# The published radius is that of the attack; the range is ours.
RADIUS = {"radius": Float(0.25, 2.0, log=True)}

ARMS = {
    # Gong et al. 2021: m = 4 on ImageNet; the ranges are ours. sigma = 0.1 is no published value:
    # it counts only where the protocol augments nothing.
    "maxup": {
        "about": "MaxUp: the hardest of m augmented copies (Gong et al. 2021)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.perturbation.max_up:MaxUp"}],
        "default": {"m": 4, "sigma": 0.1},
        "space": {"m": Int(1, 8), "sigma": Float(0.01, 1.0, log=True)},
    },
    # Rice et al. 2020: ten steps of a quarter of the radius (8/255 of the range of a pixel).
    "pgd_training": {
        "about": "adversarial training with ten steps of an attack (Rice et al. 2020)",
        "kind": "tuned loss",
        "phases": [{"method": ADVERSARIAL}],
        "default": {"radius": 1.0},
        "space": RADIUS,
    },
    # Wong et al. 2020: one step of 1.25 radii; they stop it when it overfits to that step.
    "fgsm_training": {
        "about": "fast adversarial training: one step of an attack (Wong et al. 2020)",
        "kind": "tuned loss",
        "phases": [{"method": ADVERSARIAL, "hyperparameters": {"step": 1.25, "steps": 1}}],
        "default": {"radius": 1.0},
        "space": RADIUS,
    },
    # Shafahi et al. 2019: steps of the whole radius, each batch 8 times in a row on CIFAR-10.
    "free_training": {
        "about": "free adversarial training: one backward for weights and inputs "
        "(Shafahi et al. 2019)",
        "kind": "tuned loss",
        "phases": [{"method": FREE}],
        "default": {"radius": 1.0, "m": 8},
        "space": RADIUS | {"m": Int(2, 10)},
    },
    # The step is that of the ten-step attack; nobody has published one.
    "descent_ascent": {
        "about": "alternating descent of weights and ascent of each example's perturbation "
        "(after Shafahi et al. 2019)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.perturbation.descent_ascent:DescentAscent"}],
        "default": {"radius": 1.0, "step": 0.25},
        "space": RADIUS | {"step": Float(0.1, 1.25, log=True)},
    },
    # 0.1 is no published value, and the range is ours: as for `maxup`.
    "gaussian_noise": {
        "about": "inputs with Gaussian noise: the control of MaxUp (after Bishop 1995)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.perturbation.gaussian_noise:GaussianNoise"}],
        "default": {"sigma": 0.1},
        "space": {"sigma": Float(0.01, 1.0, log=True)},
    },
    # Zhang et al. 2018: 1 on CIFAR-10, 0.1 ... 0.4 on ImageNet, up to 32 under label noise.
    "mixup": {
        "about": "mixup (Zhang et al. 2018)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.perturbation.mixup:Mixup"}],
        "default": {"alpha": 1.0},
        "space": {"alpha": Float(0.1, 32.0, log=True)},
    },
}

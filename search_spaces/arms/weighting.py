"""Example weights by rule."""

from typing import Any

from optuna.distributions import FloatDistribution as Float
from optuna.distributions import IntDistribution as Int

from search_spaces.arms.losses import CE

SELF_PACED = "methods.weighting.self_paced:SelfPaced"
#: The share that counts in the end would be 1 - the rate of wrong labels; 0.75 is no published
#: value. Kumar et al. 2010 begin with about half of the examples.
PACE = {"first": Float(0.2, 0.9), "last": Float(0.3, 1.0)}


def self_paced(form: str, source: str) -> dict[str, Any]:
    """Self-paced learning with weights of a form."""
    return {
        "about": f"self-paced learning, {form} weights ({source})",
        "kind": "tuned loss",
        "phases": [{"method": SELF_PACED, "hyperparameters": {"form": form}}],
        "default": {"first": 0.5, "last": 0.75},
        "space": PACE,
    }


ARMS: dict[str, dict[str, Any]] = {
    # Chang et al. 2017 take epsilon from the statistic's mean; 0.2, and a warm-up of 15 of 100
    # epochs, are a reproduction's.
    "active_bias": {
        "about": "active bias: more weight on uncertain examples (Chang et al. 2017)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.weighting.active_bias:ActiveBias"}],
        "default": {"epsilon": 0.2, "warmup": 0.15},
        "space": {"epsilon": Float(0.01, 1.0, log=True), "warmup": Float(0.05, 0.5)},
    },
    "active_bias_sampling": {
        "about": "active bias: uncertain examples drawn more often (Chang et al. 2017)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.weighting.active_bias_sampling:ActiveBiasSampling"}],
        "default": {"epsilon": 0.2, "warmup": 0.15},
        "space": {"epsilon": Float(0.01, 1.0, log=True), "warmup": Float(0.05, 0.5)},
    },
    "random_weights": {
        "about": "control: L2RW's weights replaced by rectified noise (Ren et al. 2018)",
        "kind": "control",
        "phases": [{"method": "methods.weighting.random_weights:RandomWeights"}],
    },
    "self_paced": self_paced("hard", "Kumar et al. 2010"),
    "self_paced_linear": self_paced("linear", "Jiang et al. 2015"),
    "self_paced_logarithmic": self_paced("logarithmic", "Jiang et al. 2015"),
    "self_paced_mixture": self_paced("mixture", "Zhao et al. 2015"),
    "self_paced_polynomial": self_paced("polynomial", "Gong et al. 2019"),
    "linear_weights": {
        "about": "weights that fall linearly with the loss (Jiang et al. 2015)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.weighting.linear_weighting:LinearWeighting"}],
        "default": {"margin": 2.7},
        "space": {"margin": Float(0.1, 18.0, log=True)},
    },
    "focal_weights": {
        "about": "focal loss without its weight's gradient (after Lin et al. 2017)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.weighting.focal_weighting:FocalWeighting"}],
        "default": {"gamma": 2.0},
        "space": {"gamma": Float(0.0, 5.0)},
    },
    # Chawla et al. 2002 take five neighbours; all classes alike is the rule of later codes.
    "smote": {
        "about": "SMOTE: smaller classes have synthetic examples, too (Chawla et al. 2002)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.weighting.smote:Smote"}],
        "default": {"rho": 1.0, "k": 5},
        "space": {"rho": Float(0.0, 1.0), "k": Int(1, 10)},
    },
    "resampling": {
        "about": "classes drawn alike (Kang et al. 2020)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.weighting.resampling:Resampling"}],
        "default": {"rho": 1.0},
        "space": {"rho": Float(0.0, 1.0)},
    },
    "boost_weights": {
        "about": "negative control: weights raised where the model is wrong, as AdaBoost does",
        "kind": "tuned loss",
        "phases": [{"method": "methods.weighting.boosted:Boosted"}],
        "default": {"rate": 1.0},
        "space": {"rate": Float(0.0, 1.0)},
    },
    # Jiang et al. 2018: the quantile of their code; their README has 0.75.
    "mentornet_pd": {
        "about": "MentorNet, predefined curriculum (Jiang et al. 2018)",
        "kind": "tuned loss",
        "phases": [{"method": "methods.weighting.mentornet:PredefinedMentorNet"}],
        "default": {"quantile": 0.7},
        "space": {"quantile": Float(0.3, 0.95)},
    },
    # C is no published value.
    "importance_weights": {
        "about": "importance weights from the clean examples (Bickel et al. 2007)",
        "kind": "tuned loss",
        "phases": [
            {"name": "noisy", "method": CE},
            {
                "name": "weighted",
                "method": "methods.weighting.importance_weights:ImportanceWeights",
                "start": "initial",
            },
        ],
        "default": {"weighted.C": 0.1},
        "space": {"weighted.C": Float(1e-3, 10.0, log=True)},
    },
    # beta is no published value.
    # Jiang et al. 2018 know which labels are right; here a share of the clean ones is made wrong,
    # which is no published value.
    "mentornet_dd": {
        "about": "MentorNet, learned from clean examples of which some are mislabelled "
        "(Jiang et al. 2018)",
        "kind": "tuned loss",
        "phases": [
            {
                "name": "recorded",
                "method": "methods.weighting.learned_mentornet:RecordedStudent",
                "pool": "train+meta",
            },
            {
                "name": "taught",
                "method": "methods.weighting.learned_mentornet:LearnedMentorNet",
                "start": "fresh",
            },
        ],
        "default": {"recorded.rate": 0.4},
        "space": {"recorded.rate": Float(0.1, 0.6)},
    },
    "fwl": {
        "about": "fidelity-weighted learning: a Gaussian process teaches (Dehghani et al. 2018)",
        "kind": "tuned loss",
        "phases": [
            {"name": "noisy", "method": CE},
            {
                "name": "taught",
                "method": "methods.weighting.fidelity_weights:FidelityWeights",
                "pool": "train+meta",
            },
        ],
        "default": {"taught.beta": 1.0},
        "space": {"taught.beta": Float(0.1, 10.0, log=True)},
    },
    # Zhao et al. 2019 search it by Gaussian-process bandits: `search: gp`.
    "moew": {
        "about": "metric-optimized example weights: a tuned function (Zhao et al. 2019)",
        "kind": "tuned loss",
        "phases": [
            {"name": "noisy", "method": CE},
            {
                "name": "weighted",
                "method": "methods.weighting.embedding_weights:EmbeddingWeights",
                "start": "initial",
            },
        ],
        "default": {f"weighted.a{i}": 0.0 for i in range(1, 5)},
        "space": {f"weighted.a{i}": Float(-3.0, 3.0) for i in range(1, 5)},
    },
}

"""Records of a study whose truth is known: arms with a one-hump response and normal noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.analysis.record import Range, Record, StudyInfo

LR: dict[str, Any] = {"schedule.lr": 0.1}


@dataclass(frozen=True)
class SyntheticArm:
    """True score at q: peak - drop (q - best)^2; an untuned arm always runs at q = best."""

    name: str
    kind: str
    peak: float
    tuned: bool = False
    drop: float = 0.2
    best: float = 0.6
    default: float = 0.2
    passes: int = 3000
    clean_train: int = 100

    def truth(self, q: float) -> float:
        return self.peak - self.drop * (q - self.best) ** 2


ARMS = (
    SyntheticArm("ce", "plain", 0.64, clean_train=0),
    SyntheticArm("gce", "tuned loss", 0.75, tuned=True, clean_train=0),
    SyntheticArm("gce_plus_meta", "tuned loss", 0.93, tuned=True, passes=3600),
    SyntheticArm("finetune", "control", 0.948),
    SyntheticArm("clean_only", "control", 0.90, passes=300),
    SyntheticArm("l2rw", "meta-learned weights", 0.925, passes=9000),
    SyntheticArm("gce_learned", "meta-learned loss", 0.90, passes=9000),
)


def record(role: str, index: int, repeat: int = 0, *, val: float, **changes: Any) -> Record:
    """A record of the arm `arm`; its test scores are its val unless `changes` says otherwise."""
    fields: dict[str, Any] = {
        "key": f"{changes.get('arm', 'arm')}-{role}-{repeat}-{index}",
        "arm": "arm",
        "config": {},
        "status": "completed",
        "test": {"last": val, "selected": val},
        "passes": 1,
        "seconds": 1.0,
        "clean_train": 0,
        "clean_select": 0,
        "data_seed": repeat,
        "run_seed": index,
    }
    return Record(role=role, index=index, repeat=repeat, val=val, **(fields | changes))


class _Runs:
    """Runs arms by their truth and normal noise, and keeps the records."""

    def __init__(self, rng: np.random.Generator, shifts: Sequence[float], run_sd: float) -> None:
        self.rng, self.shifts, self.run_sd = rng, shifts, run_sd
        self.val_sd = 0.01
        self.records: list[Record] = []

    def run(self, arm: SyntheticArm, role: str, repeat: int, index: int, **changes: Any) -> Record:
        default = {"q": arm.default} if arm.tuned else {}
        config = default | changes
        lr = config.get("schedule.lr", 0.1)
        truth = arm.truth(config.get("q", arm.best)) + self.shifts[repeat]
        test = truth - 0.01 * abs(np.log2(lr / 0.1)) + self.rng.normal(0, self.run_sd)
        self.records.append(
            record(
                role,
                index,
                repeat,
                arm=arm.name,
                config=config,
                val=float(test + self.rng.normal(0, self.val_sd)),
                test={"last": float(test), "selected": float(test + 0.001)},
                passes=arm.passes,
                seconds=arm.passes / 1000,
                clean_train=arm.clean_train,
                clean_select=100 if arm.tuned else 0,
                run_seed=1000 * repeat + index,
            )
        )
        return self.records[-1]

    def tune(self, arm: SyntheticArm, repeat: int, trials: int, seeds: int) -> dict[str, Any]:
        """The configuration that a search selects, after its curve and default runs."""
        values = [arm.default, *self.rng.uniform(0, 1, trials)]
        searched = [self.run(arm, "search", repeat, k, q=q) for k, q in enumerate(values)]
        for k, q in enumerate(values):
            self.run(arm, "curve", repeat, k, q=q)
        for index in range(seeds):
            self.run(arm, "default", repeat, index)
        return max(searched, key=lambda r: r.val).config


def synthetic_study(
    arms: tuple[SyntheticArm, ...] = ARMS,
    *,
    repeats: int = 3,
    trials: int = 20,
    seeds: int = 2,
    run_sd: float = 0.005,
    seed: int = 0,
) -> tuple[list[Record], StudyInfo]:
    """All records of a finished study and its info; the arms of a repeat share its data's luck.

    Tuned arms have search, curve, default and final runs; every arm's `schedule.lr` has sensitivity
    runs at x1/4, 1/2, 2, 4 that lose 0.01 per doubling.
    """
    rng = np.random.default_rng(seed)
    runs = _Runs(rng, rng.normal(0, 0.01, repeats), run_sd)
    for arm in arms:
        for repeat in range(repeats):
            best = runs.tune(arm, repeat, trials, seeds) if arm.tuned else {}
            for index in range(seeds):
                runs.run(arm, "final", repeat, index, **best)
            for k, factor in enumerate((0.25, 0.5, 2, 4)):
                runs.run(arm, "sensitivity", repeat, k, **{"schedule.lr": 0.1 * factor})
    return runs.records, synthetic_info(arms)


def synthetic_info(arms: tuple[SyntheticArm, ...] = ARMS) -> StudyInfo:
    """What a study file would say of these arms."""
    space: dict[str, Range] = {"q": {"low": 0.0, "high": 1.0, "log": False, "int": False}}
    return {
        "metric": "accuracy",
        "epoch": "last",
        "search": "random",
        "margin": 0.01,
        "arms": {
            arm.name: {
                "kind": arm.kind,
                "tuned": arm.tuned,
                "space": space if arm.tuned else {},
                "default": dict(LR) | ({"q": arm.default} if arm.tuned else {}),
            }
            for arm in arms
        },
    }

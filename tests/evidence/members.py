"""Sets of the suite whose truth is known: an arm's score is its peak, less what a rate costs it."""

import numpy as np

from benchmarks.evidence.members import ArmOfMember, Member
from benchmarks.evidence.sets import EvidenceSet
from benchmarks.evidence.suite import RATES
from pipelines.analysis.arm_runs import ArmRuns
from pipelines.study.arms import resolve_arm
from pipelines.study.study_file import Study, parse_study
from tests.support.synthetic import record

REPEATS, SEEDS = 4, 2
#: Score at the rate that suits the arm, and that rate.
ARMS = {
    "ce": (0.70, 1.0),
    "gce": (0.74, 1.0),
    "gce_plus_meta": (0.85, 1.0),
    "sce_plus_meta": (0.80, 0.25),
    "clean_only_long": (0.76, 1.0),
    "finetune_long": (0.84, 1.0),
    "l2rw": (0.88, 0.25),
    "gce_learned": (0.72, 1.0),
}
WRONG_RATE = 0.2


def study(name: str, **protocol) -> Study:
    request = {"arms": list(ARMS), "trials": 1, "repeats": REPEATS, "seeds": SEEDS}
    return parse_study({"name": name, "protocol": protocol, "request": request}, name)


def member(name="one", shift=0.0, seed=0, arms=ARMS, weights=None, part="main", **how) -> Member:
    """A set that has run.

    shift: of every arm but ce. how: change, development, unequal, protocol, noise_rate.
    """
    rng = np.random.default_rng(seed)
    noise = {"kind": "flip", "rate": 0.4}
    protocol = how.get("protocol", {"noise": noise, "splits": {"test": 500}})
    entry = EvidenceSet(
        name, part, "table", "", how.get("unequal", False), how.get("development", False)
    )
    luck = rng.normal(0, 0.02, REPEATS)
    return Member(
        entry=entry,
        change=how.get("change", {}),
        study=study(name, **protocol),
        arms={
            arm: ArmOfMember(
                arm,
                resolve_arm(arm, {}),
                {r: _runs(arm, peak + shift * (arm != "ce"), best, r, luck, rng) for r in RATES},
            )
            for arm, (peak, best) in arms.items()
        },
        noise_rate=0.4,
        sizes={"train": 1000, "meta": 100, "val": 100, "test": 500},
        weights=weights or {},
        runs=(10, 10),
    )


def _runs(arm, peak, best, rate, luck, rng) -> ArmRuns:
    true = peak - WRONG_RATE * (rate != best)
    records = []
    for repeat in range(REPEATS):
        for index in range(SEEDS):
            test = true + luck[repeat] + rng.normal(0, 0.003)
            records.append(
                record(
                    "final",
                    index,
                    repeat,
                    arm=arm,
                    val=float(test + rng.normal(0, 0.01)),
                    test={"last": float(test), "selected": float(test)},
                    passes=3000,
                    clean_train=0 if arm in ("ce", "gce") else 100,
                )
            )
    return ArmRuns(arm, records, "last", "accuracy")

"""One study over several scenarios (noise rates, clean-set sizes): aggregate and transfer."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.intervals import aggregate, all_equal, estimate
from pipelines.analysis.pairs import Json
from pipelines.analysis.record import Record, StudyInfo
from pipelines.analysis.results import summarise, to_json
from pipelines.analysis.tunability import transfer_regret


def summarise_scenarios(
    records: Mapping[str, Sequence[Record]], info: StudyInfo, provenance: Json | None = None
) -> Json:
    """results.json of each scenario, one verdict per pair over all of them, and transfer regret."""
    results = {name: summarise(found, info, provenance) for name, found in records.items()}
    return {
        "scenarios": results,
        "aggregate": to_json(_aggregates(list(results.values()), info["margin"])),
        "transfer": to_json(
            [_transfer(arm, records, info) for arm, a in info["arms"].items() if a["tuned"]]
        ),
    }


def _aggregates(results: Sequence[Json], margin: float) -> list[Json]:
    """A verdict for each pair that has two repeats or more in every scenario."""
    rows = []
    for pairs in zip(*(r["pairs"] for r in results), strict=True):
        differences = [pair["by_repeat"] for pair in pairs]
        if all(None not in d and len(d) > 1 and not all_equal(d) for d in differences):
            names = {"tuned": pairs[0]["tuned"], "untuned": pairs[0]["untuned"]}
            rows.append(names | asdict(aggregate(differences, margin)))
    return rows


def _transfer(arm: str, records: Mapping[str, Sequence[Record]], info: StudyInfo) -> Json:
    """Regret by scenario; empty unless the scenarios retrained the same configurations."""
    own = [[r for r in found if r.arm == arm] for found in records.values()]
    runs = [ArmRuns(arm, found, info["epoch"]) for found in own]
    repeats = sorted(set.intersection(*(set(run.curves()) for run in runs)))
    configs = [[[r.config for r in run.search[i].values()] for i in repeats] for run in runs]
    pools = [[run.candidates(i) for i in repeats] for run in runs]
    complete = all(scores.size for row in pools for _, trial in row for scores in trial)
    sizes = {len(trials) for scenario in configs for trials in scenario}
    if not complete or len(sizes) != 1 or any(c != configs[0] for c in configs):
        return {"arm": arm, "regret": []}
    val = [[scores for scores, _ in row] for row in pools]
    test = [[[scores.mean() for scores in trials] for _, trials in row] for row in pools]
    return {"arm": arm, "regret": _table(transfer_regret(val, test), list(records), repeats)}


def _table(regret: Any, names: Sequence[str], repeats: Sequence[int]) -> list[Json]:
    return [
        {
            "from": a,
            "to": b,
            **asdict(estimate({(r, 0): x for r, x in zip(repeats, regret[i, j], strict=True)})),
        }
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if i != j
    ]

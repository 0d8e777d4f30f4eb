"""One study over several scenarios (noise rates, clean-set sizes): aggregate and transfer."""

from collections.abc import Mapping, Sequence

from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.as_json import comparison_json, estimate_json
from pipelines.analysis.intervals import aggregate, estimate
from pipelines.analysis.record import Record, StudyInfo
from pipelines.analysis.results import summarise
from pipelines.analysis.results_schema import (
    ComparedArms,
    Regret,
    Results,
    ScenarioResults,
    Transfer,
)
from pipelines.analysis.runs import MIN_UNITS, Floats, all_equal
from pipelines.analysis.tunability import transfer_regret
from pipelines.documents import Json


def summarise_scenarios(
    records: Mapping[str, Sequence[Record]], info: StudyInfo, provenance: Json | None = None
) -> ScenarioResults:
    """results.json of each scenario, one verdict per pair over all of them, and transfer regret."""
    results = {name: summarise(runs, info, provenance) for name, runs in records.items()}
    tuned = [arm for arm, entry in info["arms"].items() if entry["tuned"]]
    return {
        "scenarios": results,
        "aggregate": _aggregates(list(results.values()), info["margin"]),
        "transfer": [_transfer(arm, records, info) for arm in tuned],
    }


def _aggregates(results: Sequence[Results], margin: float) -> list[ComparedArms]:
    """A verdict for each pair that has repeats enough in every scenario."""
    rows: list[ComparedArms] = []
    for pairs in zip(*(r["pairs"] for r in results), strict=True):
        differences = [[d for d in pair["by_repeat"] if d is not None] for pair in pairs]
        finite = all(None not in pair["by_repeat"] for pair in pairs)
        if finite and all(len(d) >= MIN_UNITS and not all_equal(d) for d in differences):
            rows.append(
                {
                    "tuned": pairs[0]["tuned"],
                    "untuned": pairs[0]["untuned"],
                    **comparison_json(aggregate(differences, margin)),
                }
            )
    return rows


def _transfer(arm: str, records: Mapping[str, Sequence[Record]], info: StudyInfo) -> Transfer:
    """Regret by scenario; empty unless the scenarios retrained the same configurations."""
    own = [[r for r in scenario if r.arm == arm] for scenario in records.values()]
    runs = [ArmRuns(arm, scenario, info["epoch"], info["metric"]) for scenario in own]
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


def _table(regret: Floats, names: Sequence[str], repeats: Sequence[int]) -> list[Regret]:
    return [
        {
            "from": a,
            "to": b,
            **estimate_json(
                estimate({(r, 0): x for r, x in zip(repeats, regret[i, j], strict=True)})
            ),
        }
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if i != j
    ]

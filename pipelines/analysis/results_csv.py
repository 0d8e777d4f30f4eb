"""results.csv: the arms of results.json as a table."""

import csv
import io
from typing import Any

from pipelines.analysis.results_schema import ArmResults, Results
from pipelines.documents import flat


def to_csv(results: Results) -> str:
    """One row per arm: what it is, its clean labels, cost and scores under both epoch rules."""
    table = io.StringIO()
    rows = [_row(name, arm, results) for name, arm in results["arms"].items()]
    writer = csv.DictWriter(table, fieldnames=rows[0].keys() if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()


def _row(name: str, arm: ArmResults, results: Results) -> dict[str, Any]:
    groups = ("clean_labels", "trials", "passes", "test")
    values = flat({group: arm[group] for group in groups} | {"beside": arm.get("beside", {})})
    return {
        "arm": name,
        "kind": arm["kind"],
        "tuned": arm["tuned"],
        "dimensions": len(arm["space"]),
        "selection": results["selection"]["rule"],
        "search": results["selection"]["search"],
        **{address.replace(".", "_"): value for address, value in values.items()},
    }

"""Figures across studies: test score against what they differ in, clean labels or the noise rate."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pipelines.plot import Figure, Panel, axis, intervals, line, styles
from pipelines.records import Findings
from pipelines.study import Protocol
from pipelines.tables import METRICS, scale

Json = dict[str, Any]
Member = tuple[Findings, Json]  # a study and its results

AXES: dict[str, tuple[str, str, str, Callable[[Protocol], float]]] = {
    "clean-labels": (
        "Accuracy and clean labels",
        "clean labels to train with (meta)",
        "splits.meta",
        lambda protocol: protocol.splits.meta,
    ),
    "noise-rate": (
        "Accuracy and noise",
        "nominal noise rate",
        "noise.rate",
        lambda protocol: protocol.noise.rate,
    ),
}


def compare_studies(members: Sequence[Member]) -> list[Figure]:
    """One figure per axis, with a view for every set of studies that differ in that alone."""
    return [_figure(name, members) for name in AXES]


def _figure(name: str, members: Sequence[Member]) -> Figure:
    title, label, key, value = AXES[name]
    views = {
        f"{group[0][0].study.name} and {len(group) - 1} more": [_panel(group, label, value)]
        for group in _families(members, key, value)
    }
    if not views:
        return Figure(name, title, f"Left out: no two of these studies differ in {key} alone.")
    return Figure(
        name,
        title,
        f"Final test score of each arm by {label}, over studies that differ in {key} alone; mean over "
        "repeats with 95 % intervals, n as in each study's table.",
        views,
    )


def _families(
    members: Sequence[Member], key: str, value: Callable[[Protocol], float]
) -> Iterator[list[Member]]:
    """Sets of two studies or more whose protocols are equal but for `key`, by its rising value."""
    families: dict[str, dict[float, Member]] = {}
    for member in members:
        protocol = member[0].study.protocol
        fixed = protocol.model_dump(mode="json")
        group, _, entry = key.partition(".")
        del fixed[group][entry]
        if key == "noise.rate":
            del fixed[group]["kind"]  # rate 0 has kind none
        family = families.setdefault(json.dumps(fixed, sort_keys=True), {})
        family[value(protocol)] = member
    return (
        [family[at] for at in sorted(family)] for family in families.values() if len(family) > 1
    )


def _panel(group: list[Member], label: str, value: Callable[[Protocol], float]) -> Panel:
    metric = group[0][1]["metric"]
    kinds = {name: arm["kind"] for _, results in group for name, arm in results["arms"].items()}
    data = []
    for name, look in styles(kinds).items():
        points = [
            (value(findings.study.protocol), test)
            for findings, results in group
            if name in results["arms"]
            and (test := results["arms"][name]["test"][results["selection"]["epoch"]])["mean"] is not None
        ]
        if points:
            data.append(
                line(
                    [x for x, _ in points],
                    [scale(metric) * test["mean"] for _, test in points],
                    name,
                    look,
                    mode="lines+markers",
                    marker={"size": 8, "color": look.colour, "symbol": look.symbol},
                    error_y=intervals((test for _, test in points), scale(metric)),
                )
            )
    layout = {"xaxis": axis(label), "yaxis": axis(f"test {METRICS[metric]}"), "height": 440}
    return Panel("", data, layout)

"""Figures across protocols: test score against what one study varies, or several differ in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.documents import lookup
from pipelines.report.figures.inputs import FigureInputs, counts
from pipelines.report.figures.plot import Figure, Panel, axis, escape, intervals, line, styles
from pipelines.report.records import StudyState
from pipelines.report.tables import METRICS, scale

Json = dict[str, Any]
Member = tuple[StudyState, Json]  # a study and its results
Point = tuple[Any, Json]  # a value on an axis, and the results there
#: What several studies are compared along, by the address in the protocol.
ADDRESSES = {"splits.meta": "Clean labels", "noise.rate": "Noise rate"}


def axes(inputs: FigureInputs) -> Figure:
    """Test score along the axes of one study."""
    study = inputs.study_state.study
    title = "Clean labels, noise rates and other axes"
    if not study.request.axes:
        noise = study.protocol.noise
        return Figure(
            "axes",
            title,
            f"Left out: the study has no axes, so one number of clean labels "
            f"({study.protocol.splits.meta} to train with) and one noise rate ({noise.kind}, "
            f"{noise.rate:.0%}).",
        )
    found = inputs.results.get("scenarios", {"scenarios": {"": inputs.results}})["scenarios"]
    protocol = study.protocol.model_dump(mode="json")
    groups = {}
    for address in study.request.axes:
        own = (lookup(protocol, address), found[""])
        varied = [
            (change[address], found[name])
            for name, change in study.scenarios.items()
            if address in change
        ]
        groups[address] = _ordered([own, *varied])
    return _figure("axes", title, "over the study's scenarios", groups)


def compare_studies(members: Sequence[Member]) -> list[Figure]:
    """One figure per address, with a view for every set of studies that differ in that alone."""
    return [_compare(members, address, title) for address, title in ADDRESSES.items()]


def _compare(members: Sequence[Member], address: str, title: str) -> Figure:
    name = title.lower().replace(" ", "-")
    groups = dict(_families(members, address))
    if not groups:
        return Figure(name, title, f"Left out: no two of these studies differ in {address} alone.")
    return _figure(name, title, f"over studies that differ in {address} alone", groups, address)


def _families(members: Sequence[Member], address: str) -> Iterator[tuple[str, list[Point]]]:
    """Sets of two studies or more whose protocols are equal but for `address`, with a name."""
    families: dict[str, dict[float, Member]] = {}
    for member in members:
        protocol = member[0].study.protocol.model_dump(mode="json")
        value = lookup(protocol, address)
        group, _, entry = address.partition(".")
        del protocol[group][entry]
        if address == "noise.rate":
            del protocol[group]["kind"]  # rate 0 has kind none
        families.setdefault(json.dumps(protocol, sort_keys=True), {})[value] = member
    for family in families.values():
        if len(family) > 1:
            first = family[min(family)][0].study.name
            points = _ordered([(value, results) for value, (_, results) in family.items()])
            yield f"{first} and {len(family) - 1} more", points


def _ordered(points: list[Point]) -> list[Point]:
    """Numbers rising; other values as they are given."""
    numbers = all(isinstance(value, int | float) for value, _ in points)
    return sorted(points, key=lambda point: point[0]) if numbers else points


def _figure(
    name: str, title: str, where: str, groups: dict[str, list[Point]], label: str = ""
) -> Figure:
    tests = [e for points in groups.values() for _, results in points for _, e in _tests(results)]
    if not tests:
        return Figure(name, title, "Left out: no final run has finished.")
    return Figure(
        name,
        title,
        f"Final test score of each arm {where}; mean over repeats ({counts(tests)}) with 95 % "
        "intervals.",
        {group: [_panel(points, label or group)] for group, points in groups.items()},
    )


def _tests(results: Json) -> Iterator[tuple[str, Json]]:
    """The test score of each arm that has one."""
    for name, arm in results["arms"].items():
        test = arm["test"][results["selection"]["epoch"]]
        if test["mean"] is not None:
            yield name, test


def _panel(points: list[Point], label: str) -> Panel:
    metric = points[0][1]["metric"]
    kinds = {name: arm["kind"] for _, results in points for name, arm in results["arms"].items()}
    data = []
    for name, style in styles(kinds).items():
        found = [(x, test) for x, results in points for arm, test in _tests(results) if arm == name]
        if found:
            data.append(
                line(
                    [x if isinstance(x, int | float) else escape(x) for x, _ in found],
                    [scale(metric) * test["mean"] for _, test in found],
                    name,
                    style,
                    mode="lines+markers",
                    marker={"size": 8, "color": style.colour, "symbol": style.symbol},
                    error_y=intervals((test for _, test in found), scale(metric)),
                )
            )
    layout = {"xaxis": axis(label), "yaxis": axis(f"test {METRICS[metric]}"), "height": 440}
    return Panel("", data, layout)

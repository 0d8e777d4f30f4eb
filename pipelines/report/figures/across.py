"""Test score against what scenarios of one study, or several studies, differ in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from pipelines.analysis.results_schema import EstimateJson, Results
from pipelines.documents import lookup
from pipelines.metrics import METRICS
from pipelines.report.figures.inputs import sample_sizes
from pipelines.report.figures.plot import (
    Drawing,
    Figure,
    Panel,
    axis,
    error_bars,
    escape,
    left_out,
    line,
    scaled,
    styles,
)
from pipelines.report.study_state import StudyState

Member = tuple[StudyState, Results]  # a study and its results
Point = tuple[Any, Results]  # a value on an axis, and the results there
#: What several studies are compared along, by the address in the protocol.
ADDRESSES = {"splits.meta": "Clean labels", "noise.rate": "Noise rate"}


def compare_studies(members: Sequence[Member]) -> list[Figure]:
    """One figure per address, with a view for every set of studies that differ in that alone."""
    return [
        Figure(title.lower().replace(" ", "-"), title, _compare(members, address))
        for address, title in ADDRESSES.items()
    ]


def _compare(members: Sequence[Member], address: str) -> Drawing:
    families = dict(_families(members, address))
    if not families:
        return left_out(f"no two of these studies differ in {address} alone")
    return draw_across(families, f"over studies that differ in {address} alone", address)


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
            points = ordered([(value, results) for value, (_, results) in family.items()])
            yield f"{first} and {len(family) - 1} more", points


def ordered(points: list[Point]) -> list[Point]:
    """Numbers rising; other values as they are given."""
    numbers = all(isinstance(value, int | float) for value, _ in points)
    return sorted(points, key=lambda point: point[0]) if numbers else points


def draw_across(
    points_by_view: Mapping[str, list[Point]], extent: str, axis_label: str | None = None
) -> Drawing:
    """Test scores along one axis per view.

    points_by_view: by the view's label.
    extent: what the axes span, for the caption.
    axis_label: of every view; by default each view's own label.
    """
    tests = [
        test
        for points in points_by_view.values()
        for _, results in points
        for test in _tests(results).values()
    ]
    if not tests:
        return left_out("no final run has finished")
    return Drawing(
        f"Final test score of each arm {extent}; mean over repeats ({sample_sizes(tests)}) with "
        "95 % intervals.",
        {label: [_panel(points, axis_label or label)] for label, points in points_by_view.items()},
    )


def _tests(results: Results) -> dict[str, EstimateJson]:
    """The test score of each arm that has one."""
    epoch = results["selection"]["epoch"]
    tests = {name: arm["test"][epoch] for name, arm in results["arms"].items()}
    return {name: test for name, test in tests.items() if test["mean"] is not None}


def _panel(points: list[Point], label: str) -> Panel:
    metric = points[0][1]["metric"]
    kinds = {name: arm["kind"] for _, results in points for name, arm in results["arms"].items()}
    data = []
    for name, style in styles(kinds).items():
        scored = [(x, tests[name]) for x, results in points if name in (tests := _tests(results))]
        if scored:
            trace = line(
                [x if isinstance(x, int | float) else escape(x) for x, _ in scored],
                [scaled(test["mean"], METRICS[metric].scale) for _, test in scored],
                name,
                style,
                mode="lines+markers",
                marker={"size": 8, "color": style.colour, "symbol": style.symbol},
                error_y=error_bars((test for _, test in scored), METRICS[metric].scale),
            )
            data.append(trace)
    layout = go.Layout(xaxis=axis(label), yaxis=axis(f"test {METRICS[metric].title}"), height=440)
    return Panel(data, layout)

"""What figures are made of: panels of plotly's traces and layouts, and the styles of arms."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, isfinite, log10
from typing import Any

import plotly.graph_objects as go
from plotly.basedatatypes import BaseTraceType

from pipelines.analysis.estimate_schema import IntervalJson
from pipelines.documents import Json
from pipelines.kinds import KINDS

#: Arms of one kind differ in these.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross", "pentagon")
#: Five steps from low to high, readable on light and on dark ground.
STEPS = ("#7a4fa3", "#4a76b8", "#1f9e89", "#7cb83c", "#e3b505")
#: In a colour scale it stands for the page's ground, light or dark; the page's script puts that in.
GROUND = "#ffffff"
THINNED = 2e3  # logarithmic axes that span more have ticks at powers of ten alone
#: Names an annotation that the page's script moves to where it covers nothing.
LABEL = "label"


@dataclass(frozen=True)
class Panel:
    """One coordinate system. The page's script adds colours of the scheme, fonts and margins."""

    data: Sequence[BaseTraceType]
    layout: go.Layout
    title: str = ""

    def to_json(self) -> Json:
        """What plotly.js draws, and the heading above it."""
        return {
            "title": self.title,
            "data": [trace.to_plotly_json() for trace in self.data],
            "layout": self.layout.to_plotly_json(),
        }

    def to_figure(self) -> go.Figure:
        """A figure of plotly's own, for where the page's script does not draw it."""
        figure = go.Figure(list(self.data), self.layout)
        title = {"text": escape(self.title)} if self.title else None
        figure.update_layout(title=title, width=None)
        return figure.for_each_annotation(
            lambda note: note.update(visible=True, yshift=10), {"name": LABEL}
        )


@dataclass(frozen=True)
class Drawing:
    """What a figure shows and says.

    views: its panels by the label of a switch (one view: no switch, its label is not shown); where
        there are none, the caption says why.
    """

    caption: str
    views: Mapping[str, list[Panel]] = field(default_factory=dict)


def left_out(why: str) -> Drawing:
    """Instead of a figure: why there is none, as the rest of a sentence without its full stop."""
    return Drawing(f"Left out: {why}.")


@dataclass(frozen=True)
class Figure:
    """A drawing under a heading; `name` is its anchor on the page."""

    name: str
    title: str
    drawing: Drawing

    @property
    def caption(self) -> str:
        """What is said of it."""
        return self.drawing.caption

    @property
    def views(self) -> Mapping[str, list[Panel]]:
        """Its panels by the label of a switch."""
        return self.drawing.views

    def to_json(self) -> dict[str, list[Json]]:
        """The panels of each view, for the page's script."""
        return {label: [p.to_json() for p in panels] for label, panels in self.views.items()}


@dataclass(frozen=True)
class Style:
    """How an arm is drawn: its kind's colour, and what tells it from others of its kind."""

    colour: str
    dash: str
    symbol: str

    @property
    def shade(self) -> str:
        """The colour, nearly transparent."""
        return faint(self.colour)


def styles(kinds: Mapping[str, str]) -> dict[str, Style]:
    """A style for each arm, by its kind."""
    seen: dict[str, int] = {}
    arm_styles = {}
    for arm, kind in kinds.items():
        number = seen[kind] = seen.get(kind, -1) + 1
        arm_styles[arm] = Style(
            KINDS[kind].colour, DASHES[number % len(DASHES)], SYMBOLS[number % len(SYMBOLS)]
        )
    return arm_styles


def faint(colour: str, alpha: float = 0.15) -> str:
    """A hexadecimal colour with an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def escape(text: Any) -> str:
    """Text that plotly shows as it is: it would take tags and entities for markup."""
    return html.escape(str(text), quote=False)


def line(
    x: Sequence[Any], y: Sequence[Any], name: str, style: Style, **properties: Any
) -> go.Scatter:
    """A curve; hovering names it and its point.

    x, y: of one length; None in `y` interrupts the curve.
    name: stands in the legend, where curves and bands of one name are shown and hidden together.
    properties: plotly's, in place of those set here.
    """
    trace = go.Scatter(
        mode="lines",
        x=x,
        y=rounded(y),
        name=escape(name),
        legendgroup=name,
        line={"color": style.colour, "dash": style.dash, "width": 2},
    )
    return trace.update(overwrite=True, **properties)


def band(
    x: Sequence[Any],
    low: Sequence[float | None],
    high: Sequence[float | None],
    name: str,
    style: Style,
    **properties: Any,
) -> go.Scatter:
    """The area between two curves; points without an interval are skipped.

    x, low, high: of one length.
    name: of the curve that the band belongs to.
    properties: plotly's, in addition to those set here.
    """
    known = [
        (a, b, c) for a, b, c in zip(x, low, high, strict=True) if b is not None and c is not None
    ]
    return go.Scatter(
        mode="lines",
        x=[a for a, _, _ in known] + [a for a, _, _ in reversed(known)],
        y=rounded([b for _, b, _ in known] + [c for _, _, c in reversed(known)]),
        fill="toself",
        fillcolor=style.shade,
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        legendgroup=name,
        name=escape(name),
        **properties,
    )


def error_bars(estimates: Iterable[IntervalJson], factor: float) -> Json:
    """Plotly's error bars of estimates in units of 1/factor; none where there is no interval."""
    above, below = [], []
    for estimate in estimates:
        low, mean, high = estimate["low"], estimate["mean"], estimate["high"]
        if low is None or mean is None or high is None:
            above.append(None)
            below.append(None)
        else:
            above.append(factor * (high - mean))
            below.append(factor * (mean - low))
    return {
        "type": "data",
        "symmetric": False,
        "array": rounded(above),
        "arrayminus": rounded(below),
        "thickness": 1.5,
        "width": 4,
    }


def scaled(value: float | None, factor: float) -> float | None:
    """A score in units of 1/factor; None stays None, which plotly leaves out."""
    return None if value is None else factor * value


def axis(title: str, **properties: Any) -> Json:
    """An axis with a title; properties are plotly's."""
    return {"title": {"text": escape(title)}, **properties}


def counts(title: str, largest: float, **properties: Any) -> Json:
    """An axis from 0 on of what is counted: ticks at whole numbers alone, ten or so of them."""
    step = max(1, round(largest / 10))
    return axis(title, rangemode="tozero", tick0=0, dtick=step, tickformat=",d", **properties)


def log_axis(title: str, low: float, high: float, **properties: Any) -> Json:
    """A logarithmic axis whose ticks, at 1, 2 and 5 times powers of ten, all have their number.

    low, high: ends of what is drawn. properties: plotly's.
    """
    exponents = range(floor(log10(low)) - 1, ceil(log10(high)) + 2)
    ticks = [digit * 10.0**e for e in exponents for digit in (1, 2, 5)]
    if high / low > THINNED:
        ticks = [10.0**e for e in exponents]
    texts = [_short(tick) for tick in ticks]
    return axis(title, type="log", tickvals=ticks, ticktext=texts, **properties)


def _short(value: float) -> str:
    """200k, 5M; small ones as they are."""
    for power, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= power:
            return f"{value / power:g}{letter}"
    return f"{value:g}"


def label(x: float, y: float, text: str, log_x: bool = False) -> Json:
    """A name beside a point; the first ones of a panel find their place first.

    x, y: of the point. text: the name. log_x: whether the x axis is logarithmic.
    """
    return {
        "name": LABEL,
        "x": log10(x) if log_x else x,  # plotly places annotations by the exponent
        "y": y,
        "text": escape(text),
        "font": {"size": 12},
        "visible": False,
    }


def level(y: float, text: str, colour: str, dash: str = "dot") -> Json:
    """A horizontal line through a panel, with a word above its left end; a shape of plotly's."""
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": y,
        "y1": y,
        "line": {"color": colour, "width": 1.5, "dash": dash},
        "label": {"text": escape(text), "textposition": "start", "font": {"size": 11}},
    }


def rounded(values: Iterable[Any]) -> list[Any]:
    """Five significant digits: enough to draw, and half the size. None for what is not finite."""
    return [_rounded(v) if isinstance(v, float) else v for v in values]


def _rounded(value: float) -> float | None:
    return float(f"{value:.5g}") if isfinite(value) else None

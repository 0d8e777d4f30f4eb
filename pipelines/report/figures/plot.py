"""The parts that figures are made of: plain values that plotly.js draws."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

Json = dict[str, Any]
#: After Okabe & Ito: told apart with every common colour blindness. One per kind of arm.
COLOURS = {
    "plain": "#8c8c8c",
    "tuned loss": "#2f8fcb",
    "control": "#cc79a7",
    "meta-learned weights": "#dd6b1f",
    "meta-learned loss": "#12a37a",
}
#: Arms of one kind differ in these.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross", "pentagon")
#: Five steps from low to high, readable on light and on dark ground.
STEPS = ("#7a4fa3", "#4a76b8", "#1f9e89", "#7cb83c", "#e3b505")


@dataclass(frozen=True)
class Panel:
    """One coordinate system: plotly's traces and layout."""

    title: str
    data: list[Json]
    layout: Json


@dataclass(frozen=True)
class Figure:
    """Panels under one heading.

    `views` holds them by the label of a switch; where there are none, the caption says why.
    """

    name: str
    title: str
    caption: str
    views: Mapping[str, list[Panel]] = field(default_factory=dict)

    def to_json(self) -> Json:
        """Plain JSON values."""
        return asdict(self)


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
    found = {}
    for arm, kind in kinds.items():
        place = seen[kind] = seen.get(kind, -1) + 1
        found[arm] = Style(
            COLOURS[kind], DASHES[place % len(DASHES)], SYMBOLS[place % len(SYMBOLS)]
        )
    return found


def faint(colour: str, alpha: float = 0.15) -> str:
    """A hexadecimal colour with an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def escape(text: Any) -> str:
    """Text that plotly shows as it is: it would take tags and entities for markup."""
    return html.escape(str(text), quote=False)


def line(x: Sequence[Any], y: Sequence[Any], name: str, style: Style, **more: Any) -> Json:
    """A curve; hovering names it and its point."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": rounded(y),
        "name": escape(name),
        "legendgroup": name,
        "line": {"color": style.colour, "dash": style.dash, "width": 2},
        **more,
    }


def band(
    x: Sequence[Any],
    low: Sequence[float | None],
    high: Sequence[float | None],
    name: str,
    style: Style,
) -> Json:
    """The area between two curves; points without an interval are skipped."""
    known = [
        (a, b, c) for a, b, c in zip(x, low, high, strict=True) if b is not None and c is not None
    ]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [a for a, _, _ in known] + [a for a, _, _ in reversed(known)],
        "y": rounded([b for _, b, _ in known] + [c for _, _, c in reversed(known)]),
        "fill": "toself",
        "fillcolor": style.shade,
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": name,
        "name": escape(name),
    }


def intervals(estimates: Iterable[Json], factor: float) -> Json:
    """Error bars of estimates; none where there is no interval."""
    above, below = [], []
    for e in estimates:
        known = e["low"] is not None
        above.append(factor * (e["high"] - e["mean"]) if known else None)
        below.append(factor * (e["mean"] - e["low"]) if known else None)
    return {
        "type": "data",
        "symmetric": False,
        "array": rounded(above),
        "arrayminus": rounded(below),
        "thickness": 1.5,
        "width": 4,
    }


def axis(title: str, **more: Any) -> Json:
    """An axis with a title."""
    return {"title": {"text": escape(title)}, **more}


def rounded(values: Iterable[Any]) -> list[Any]:
    """Five significant digits: enough to draw, and half the size. None for what is not finite."""
    return [_rounded(v) if isinstance(v, float) else v for v in values]


def _rounded(value: float) -> float | None:
    return float(f"{value:.5g}") if isfinite(value) else None

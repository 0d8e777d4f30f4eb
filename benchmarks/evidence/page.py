"""The page over all sets: evidence.html, evidence.md and evidence.json beside the ledgers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from benchmarks.evidence.cells import interval, points
from benchmarks.evidence.figures import figures
from benchmarks.evidence.members import members_of
from benchmarks.evidence.results import FALL, summarise
from benchmarks.evidence.sets import EvidenceSet
from benchmarks.evidence.tables import tables
from pipelines.analysis.sentences import AGAINST
from pipelines.analysis.words import count, listed
from pipelines.kinds import KINDS
from pipelines.report.glance import Glance
from pipelines.report.pages import SCRIPTS, inline_file, json_script, page_environment

TEMPLATES = Path(__file__).parent / "templates"
FLOORS = ("finetune_long", "glc")  # of which the first screen tells the distance


def write_page(sets: Sequence[EvidenceSet], root: Path) -> list[Path]:
    """Write the three files, as far as the suite has come; where they are."""
    content = summarise(sets, [member for entry in sets for member in members_of(entry, root)])
    root.mkdir(parents=True, exist_ok=True)
    files = {
        "evidence.json": json.dumps(content, indent=1, allow_nan=False) + "\n",
        "evidence.md": _render("evidence.md", content),
        "evidence.html": _render("evidence.html", content),
    }
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")
    return [root / name for name in files]


def _render(template: str, content: Mapping[str, Any]) -> str:
    drawn = figures(content)
    return (
        page_environment(TEMPLATES)
        .get_template(template)
        .render(
            content=content,
            title=_title(content),
            glance=glance(content),
            tables=[table for table in tables(content) if table.rows],
            left_out=[(t.title, t.about) for t in tables(content) if not t.rows]
            + [(f.title, f.caption) for f in drawn if not f.views],
            figures=[figure for figure in drawn if figure.views],
            kinds=KINDS,
            style=inline_file("page.css"),
            script=Markup("\n").join(map(inline_file, SCRIPTS)),
            plotly=Markup(get_plotlyjs()),
            drawn=json_script([{"id": f"suite-{f.name}", "views": f.to_json()} for f in drawn]),
            trials=json_script({}),
        )
    )


def _whole(content: Mapping[str, Any]) -> int:
    """How many sets have run whole."""
    return sum(0 < s["planned"] == s["ended"] for s in content["sets"])


def _title(content: Mapping[str, Any]) -> str:
    sets, whole = len(content["sets"]), _whole(content)
    return f"Evidence over {f'{whole} of ' if whole < sets else ''}{count(sets, 'set')}"


def glance(content: Mapping[str, Any]) -> list[Glance]:
    """The first screen: six questions."""
    return [
        _use(content),
        _against(content, "Does self-tuning beat tuning?", "above tuned losses"),
        _distance(content),
        _harm(content),
        _trust(content),
        _cost(content),
    ]


def _use(content: Mapping[str, Any]) -> Glance:
    question = "What should I use?"
    rows = [row for row in content["advice"] if row["data"] == "any"]
    if not rows:
        return Glance(question, "no answer yet", "No judging set has run whole.", alarm=True)
    [row] = rows
    gap = interval(*(row["over_plain"][k] for k in ("mean", "low", "high")))
    like = interval(*(row["over_plain"][k] for k in ("mean", "new_low", "new_high")))
    about = content["arms"][row["arm"]]["about"].removeprefix("control: ")
    text = (
        f"{about[:1].upper()}{about[1:]}. The simplest of {count(len(row['alike']), 'arm')} "
        f"within the margin of the best on val ({row['best']}), over "
        f"{count(len(row['sets']), 'judging set')}. Minus plain cross-entropy: {gap} points on "
        f"these sets, {like} on sets like these. The table below has it by noise, clean labels and "
        "size."
    )
    return Glance(question, row["arm"], text)


def _against(content: Mapping[str, Any], question: str, claim: str) -> Glance:
    """Of the self-tuning arm that is best on val, against tuned losses at equal clean labels."""
    rows = [
        row
        for row in content["claims"]
        if row["claim"] == claim and "plus_meta" in row["over"] and row["judging"]["sets"]
    ]
    if not rows:
        return Glance(question, "no answer yet", "No judging set has run both.")
    row = max(rows, key=lambda row: _val(content, row["arm"]))
    judging = row["judging"]
    like = interval(judging["mean"], judging["new_low"], judging["new_high"])
    here = interval(judging["mean"], judging["low"], judging["high"])
    text = (
        f"{row['arm']}, the best on val of {count(len(rows), 'arm')} with learned weights, minus "
        f"{row['over']}, with the same clean labels: {like} points on sets like these "
        f"({row['verdict']}); {here} on these {judging['sets']} ({row['verdict_here']})."
    )
    return Glance(question, f"{row['arm']}: {like}", text)


def _val(content: Mapping[str, Any], arm: str) -> float:
    """By which arms are chosen to be named: never by their test scores."""
    val = content["arms"][arm]["val"]
    return -1.0 if val is None else val


def _distance(content: Mapping[str, Any]) -> Glance:
    """The self-tuning arm that is best on val against simple uses of the clean labels."""
    question = "And simple uses of the same clean labels?"
    told = []
    for floor in FLOORS:
        rows = [g for g in content["gaps"] if g["over"] == floor and g["judging"]["sets"]]
        if rows:
            best = max(rows, key=lambda gap: _val(content, gap["arm"]))
            judging = best["judging"]
            claim = AGAINST[judging["claim"]].format(over=floor)
            like = interval(judging["mean"], judging["new_low"], judging["new_high"])
            told.append((points(judging["mean"]), f"{best['arm']} is {claim}: {like}"))
    if not told:
        return Glance(question, "no answer yet", "No judging set has run them.")
    short = listed([f"{gap} over {floor}" for (gap, _), floor in zip(told, FLOORS, strict=False)])
    text = "; ".join(sentence for _, sentence in told)
    return Glance(question, short, f"Of the self-tuning arms the best on val: {text}.")


def _harm(content: Mapping[str, Any]) -> Glance:
    question = "Does self-tuning do harm?"
    falls = content["falls"]
    if not falls:
        limit = points(FALL, "")
        text = f"No arm's mean lies more than {limit} points below a floor at any rate."
        return Glance(question, "nowhere yet", text)
    arms = list(dict.fromkeys(fall["arm"] for fall in falls))
    where = {(fall["arm"], fall["member"]) for fall in falls}
    pairs = count(len(where), "pair")
    text = (
        f"{listed(arms)} fall more than {points(FALL, '')} points below plain cross-entropy or "
        f"below the clean labels alone, at one of the three rates: {pairs} of an arm and a set or "
        "scenario, listed below."
    )
    return Glance(question, f"yes: {count(len(arms), 'arm')}", text, alarm=True)


def _trust(content: Mapping[str, Any]) -> Glance:
    started = [s for s in content["sets"] if s["planned"]]
    whole = _whole(content)
    judging = [s for s in started if not s["development"] and s["part"] != "axes"]
    told = {s["name"] for s in judging or started}
    repeats = [m["asked"]["repeats"] for m in content["members"] if m["set"] in told]
    short = f"{count(len(judging), 'judging set')}, {count(min(repeats, default=0), 'repeat')}"
    text = (
        f"{whole} of {count(len(content['sets']), 'set')} have run whole. Development sets "
        "are shown apart and decide nothing; arms and rates are chosen on val, never on test. Sets "
        "like these: as if they were drawn at random from some population, which nobody did."
    )
    return Glance("Can I trust it?", short, text, alarm=whole < len(content["sets"]))


def _cost(content: Mapping[str, Any]) -> Glance:
    ended = sum(s["ended"] for s in content["sets"])
    ratios = {name: arm["ratio"] for name, arm in content["arms"].items() if arm["ratio"]}
    if not ratios:
        return Glance("What does it cost?", "nothing yet", "Nothing has run.")
    dear = max(ratios, key=lambda name: ratios[name])
    text = (
        f"{ended:,} runs. With its three rates and its search an arm costs "
        f"{min(ratios.values()):.0f} to {ratios[dear]:.0f} runs of plain cross-entropy ({dear})."
    )
    return Glance("What does it cost?", f"{ended:,} runs", text)

"""The tables that compare arms over the sets; made of evidence.json alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.evidence.cells import ARM, here, interval, like, on_set, points, table_of
from benchmarks.evidence.claims import PLAIN
from benchmarks.evidence.facts import costs, rates, scores, sets
from benchmarks.evidence.results import FALL
from pipelines.analysis.words import count, listed
from pipelines.report.comparisons import Comparisons
from pipelines.report.tables import MISSING, Cell, Column

OVER = Column("over", "over", "what it is compared with", numeric=False)
LIKE = Column("like", "on sets like these", "mean over the judging sets, 95 % interval over sets")
HERE = Column("here", "on these sets", "the same mean, 95 % interval over repeats within the sets")
VERDICT = Column("verdict", "verdict", "of the interval for sets like these", numeric=False)


def tables(content: Mapping[str, Any]) -> list[Comparisons]:
    """All tables, in the order of the page; one without rows says why."""
    return [
        advice(content),
        claims(content),
        ranks(content),
        scores(content),
        win_matrix(content),
        gaps(content),
        falls(content),
        rates(content),
        costs(content),
        sets(content),
    ]


def advice(content: Mapping[str, Any]) -> Comparisons:
    """What to use, by sort of data."""
    columns = [
        Column("data", "your data", "what is known of them", numeric=False),
        Column("use", "use", "the simplest arm whose mean is within the margin of the best one's "
               "on val", numeric=False),
        Column("best", "minus the best on val", "that arm minus the best on val, on these sets"),
        Column("plain", "minus ce", "that arm minus plain cross-entropy, on these sets"),
        Column("alike", "within the margin, too", "other arms whose mean is", numeric=False),
        Column("sets", "sets", "how many it comes from, and which", numeric=False),
    ]  # fmt: skip
    rows = []
    for row in content["advice"]:
        best = "it is the best" if row["arm"] == row["best"] else None
        plain = Cell("it is ce", 0.0) if row["arm"] == PLAIN else here(row["over_plain"])
        over = interval(*(row["over_best"][k] for k in ("mean", "low", "high")))
        rows.append(
            {
                "data": Cell(row["data"]),
                "use": Cell(row["arm"]),
                "best": Cell(best or f"{over} to {row['best']}", row["over_best"]["mean"]),
                "plain": plain,
                "alike": Cell(", ".join(row["alike"][1:]) or MISSING),
                "sets": Cell(f"{len(row['sets'])}: {listed(row['sets'])}"),
            }
        )
    about = (
        "Judging sets alone, but for clean labels: the axes have a development set among them. "
        "Arms are chosen on val; intervals in points of 100, for these sets."
    )
    return table_of("use", "What should I use?", about, columns, rows)


def claims(content: Mapping[str, Any]) -> Comparisons:
    """What papers claim, with verdicts."""
    columns = [
        Column("claim", "claim", "as papers make it", numeric=False),
        ARM,
        OVER,
        VERDICT,
        LIKE,
        Column("verdict_here", "on these sets", "verdict of that interval", numeric=False),
        HERE,
        Column("n", "sets", "judging sets / development sets"),
        Column("development", "on development sets", "mean, interval over repeats; judges nothing"),
    ]  # fmt: skip
    rows, folded = [], []
    for row in content["claims"]:
        if not row["by_set"]:
            continue
        head = {name: Cell(row[name]) for name in ("claim", "arm", "over")}
        judging, development = row["judging"], row["development"]
        rows.append(
            head
            | {
                "verdict": Cell(row["verdict"]),
                "like": like(judging),
                "verdict_here": Cell(row["verdict_here"]),
                "here": here(judging),
                "n": Cell(f"{judging['sets']} / {development['sets']}", judging["sets"]),
                "development": here(development),
            }
        )
        folded += list(_claim_by_set(row, head))
    about = (
        "Of several opponents val picks one for each run, as it picks a rate. Weights: "
        "(w(5) - w(0)) / (w(5) + w(0)) in percent, at losses of 5 and 0 nats, the sign turned "
        "where they should fall."
    )
    fold = "The same, set by set"
    return table_of("claims", "What papers claim", about, columns, rows, folded, fold=fold)


def _claim_by_set(row: Mapping[str, Any], head: dict[str, Cell]) -> Iterator[dict[str, Cell]]:
    for name, gap in row["by_set"].items():
        developed = name in row["development_sets"]
        yield head | {
            "verdict": Cell(MISSING),
            "like": Cell(MISSING),
            "verdict_here": Cell(gap["verdict"]),
            "here": on_set(gap),
            "n": Cell(f"{name} (development)" if developed else name),
            "development": Cell(MISSING),
        }


def ranks(content: Mapping[str, Any]) -> Comparisons:
    """Mean rank of each arm."""
    columns = [
        ARM,
        Column("kind", "kind", "what sort of method it is", numeric=False),
        Column("like", "mean rank", "1 is best; 95 % interval for sets like these"),
        Column("here", "on these sets", "95 % interval over repeats within the judging sets"),
        Column("n", "sets", "judging sets that have run all arms"),
    ]
    known = {arm: rank for arm, rank in content["ranks"].items() if rank["mean"] is not None}
    rows = [
        {
            "arm": Cell(arm),
            "kind": Cell(content["arms"][arm]["kind"]),
            "like": _rank(rank, "new_low", "new_high"),
            "here": _rank(rank, "low", "high"),
            "n": Cell(str(rank["sets"]), rank["sets"]),
        }
        for arm, rank in sorted(known.items(), key=lambda item: item[1]["mean"])
    ]
    about = (
        f"Among {count(len(rows), 'arm')}, in each repeat of each judging set; ties share a rank."
    )
    return table_of("ranks", "Ranks", about, columns, rows)


def _rank(rank: Mapping[str, Any], low: str, high: str) -> Cell:
    if rank[low] is None:
        return Cell(f"{rank['mean']:.1f} (no interval)", rank["mean"])
    return Cell(f"{rank['mean']:.1f} [{rank[low]:.1f}, {rank[high]:.1f}]", rank["mean"])


def win_matrix(content: Mapping[str, Any]) -> Comparisons:
    """On how many judging sets each self-tuning arm is better than each other one, or worse."""
    opponents = list(dict.fromkeys(gap["over"] for gap in content["gaps"]))
    columns = [
        ARM,
        *(Column(o, o, f"sets where better / undecided / worse than {o}") for o in opponents),
    ]
    rows: dict[str, dict[str, Cell]] = {}
    for gap in content["gaps"]:
        better, undecided, worse = gap["wins"]
        row = rows.setdefault(gap["arm"], {"arm": Cell(gap["arm"])})
        row[gap["over"]] = Cell(f"{better} / {undecided} / {worse}", better - worse)
    about = (
        "Self-tuning arms against all others: judging sets on which the interval of the difference "
        "lies above 0 / holds 0, or there is none / lies below 0."
    )
    return table_of("wins", "Win matrix", about, columns, list(rows.values()))


def gaps(content: Mapping[str, Any]) -> Comparisons:
    """Differences over sets, and on each."""
    columns = [
        ARM, OVER, LIKE,
        Column("claim", "claim", "what that interval shows, by the margin", numeric=False),
        HERE,
        Column("claim_here", "claim", "what that interval shows", numeric=False),
        Column("n", "sets", "judging sets"),
        Column("development", "on development sets", "mean and interval over repeats"),
    ]  # fmt: skip
    rows, folded = [], []
    for gap in content["gaps"]:
        judging = gap["judging"]
        head = {"arm": Cell(gap["arm"]), "over": Cell(gap["over"])}
        rows.append(
            head
            | {
                "like": like(judging),
                "claim": Cell(judging["claim"]),
                "here": here(judging),
                "claim_here": Cell(judging["claim_here"]),
                "n": Cell(str(judging["sets"]), judging["sets"]),
                "development": here(gap["development"]),
            }
        )
        blank = dict.fromkeys(("like", "claim", "claim_here", "development"), Cell(MISSING))
        folded += [
            head | blank | {"here": on_set(one), "n": Cell(name)}
            for name, one in gap["by_set"].items()
        ]
    about = "Test score of the arm minus the other one's, paired by run, in points of 100."
    return table_of(
        "gaps", "Differences", about, columns, rows, folded, fold="The same, set by set"
    )


def falls(content: Mapping[str, Any]) -> Comparisons:
    """Where a self-tuning arm ends far below what needs no method, at any of the rates."""
    columns = [
        ARM,
        Column("member", "set", "and scenario", numeric=False),
        Column("rate", "rate", "times the study's learning rate"),
        Column("floor", "below", "what it falls below", numeric=False),
        Column("gap", "by", "mean and interval over repeats, both at that rate"),
    ]
    rows = [
        {
            "arm": Cell(fall["arm"]),
            "member": Cell(fall["member"]),
            "rate": Cell(f"x{fall['rate']:g}", fall["rate"]),
            "floor": Cell(fall["floor"]),
            "gap": on_set(fall["gap"]),
        }
        for fall in sorted(content["falls"], key=lambda fall: fall["gap"]["mean"])
    ]
    about = f"Means more than {points(FALL, '')} points below, both arms at the rate named."
    return table_of("falls", "Where self-tuning does harm", about, columns, rows)

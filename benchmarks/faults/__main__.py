"""Deal the schedule, or what is left of it, and print the table."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import benchmarks.faults as package
from benchmarks.faults import disks, files, launches, processes, ray_processes, stores
from benchmarks.faults.commands import Shell
from benchmarks.faults.plan import KINDS, Fault, schedule
from benchmarks.faults.studies import Studies
from tests.support.object_store import object_store

DEALERS = {
    "file": files.deal,
    "process": processes.deal,
    "ray": ray_processes.deal,
    "disk": disks.deal,
    "launches": launches.deal,
    "store": stores.deal,
}


def deal(fault: Fault, studies: Studies, out: Path) -> dict[str, Any]:
    """One fault: what it was, and what came of it. Its folder stays if anything is wrong."""
    folder = out / f"fault-{fault.number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    began = time.monotonic()
    environment = dict(studies.store) if fault.s3 else {}
    dealer = DEALERS[fault.kind.partition(",")[0]]
    verdict, what = dealer(fault, studies, Shell(folder, environment), folder)
    if verdict.clean:
        shutil.rmtree(folder)
    seconds = round(time.monotonic() - began, 1)
    outcome = {"number": fault.number, "kind": fault.kind, "count": fault.count, "what": what}
    return outcome | {"seconds": seconds} | verdict.as_json()


def run(faults: list[Fault], out: Path) -> list[dict[str, Any]]:
    """All that have not been dealt yet; the outcomes of all, in order."""
    file = out / "outcomes.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    outcomes = {outcome["number"]: outcome for outcome in map(json.loads, lines)}
    left = [fault for fault in faults if fault.number not in outcomes]
    with ExitStack() as stack:
        store = stack.enter_context(object_store())
        stack.enter_context(stores.environment(store))
        studies = Studies(out / "studies", store)
        studies.make(Shell(out))
        for fault in left:
            outcome = outcomes[fault.number] = deal(fault, studies, out)
            with file.open("a") as to:
                to.write(json.dumps(outcome) + "\n")
            print(_line(outcome), flush=True)
    return [outcomes[fault.number] for fault in faults]


def _line(outcome: dict[str, Any]) -> str:
    wrong = [f"{n}: {w}" for n in ("lost", "doubled", "unseen", "false") for w in outcome[n]]
    head = (
        f"{outcome['number']:4} {outcome['seconds']:6.1f} s  {outcome['kind']}: {outcome['what']}"
    )
    return "\n".join([head, *(f"      {each}" for each in wrong)])


def table(outcomes: list[dict[str, Any]]) -> Table:
    """By kind: how many, and what was wrong."""
    columns = ("lost", "doubled", "unseen", "false")
    shown = Table("kind", "faults", *columns, "statuses of launches", box=None)
    by_kind: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for outcome in outcomes:
        by_kind[outcome["kind"]].append(outcome)
    for kind in [*(kind for kind in KINDS if kind in by_kind), "all"]:
        some = outcomes if kind == "all" else by_kind[kind]
        counts = [str(sum(len(outcome[name]) for outcome in some)) for name in columns]
        statuses = Counter(
            status.partition(" ")[2]
            for outcome in some
            for status in outcome["statuses"]
            if status.startswith("launch ")
        )
        said = ", ".join(f"{status}: {n}" for status, n in sorted(statuses.items()))
        shown.add_row(kind, str(sum(o["count"] for o in some)), *counts, said)
    return shown


def main() -> int:
    """Exit status 0 if nothing was lost, doubled, unseen or false."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults", description=(package.__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("out", type=Path, help="a folder; what is there already is not dealt again")
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="kinds, or their first words")
    given = parser.parse_args()
    out = given.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    outcomes = run(schedule(given.faults, given.seed, given.only), out)
    Console(width=110).print(table(outcomes))
    return int(
        any(outcome[n] for outcome in outcomes for n in ("lost", "doubled", "unseen", "false"))
    )


if __name__ == "__main__":
    sys.exit(main())

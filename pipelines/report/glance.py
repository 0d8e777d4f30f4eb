"""The first screen of a page: six questions, each with an answer of a few words and a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.analysis.answer_schema import Answer, Gap, SelfTuning
from pipelines.analysis.results_schema import Results
from pipelines.analysis.runs import MIN_UNITS
from pipelines.analysis.sentences import bare, changes_nothing, interval_told, score_text
from pipelines.analysis.words import count, listed
from pipelines.report.set_up import SetUp, duration

TRUST, COST, WRONG = "Can I trust it?", "What did it cost?", "What went wrong?"
TOLD = 3  # warnings, and lines on single trials, all of which stand further below


@dataclass(frozen=True)
class Glance:
    """A question, its answer in a few words, and in a sentence; `alarm`: it asks for attention."""

    question: str
    short: str
    text: str
    alarm: bool = False


def glance(results: Results, made: SetUp) -> list[Glance]:
    """The answer box: what the analysis says, then what there is to know of the study itself."""
    shorts = _shorts(results)
    answer = [
        Glance(line["question"], short, line["text"])
        for line, short in zip(results["answer"]["lines"], shorts, strict=False)
    ]
    return [*answer, *_common(results), _trust(results), _cost(results), _wrong(results)]


def _shorts(results: Results) -> list[str]:
    """Of the lines on what to use, on tuning, and on self-tuning; without numbers their words."""
    answer: Answer = results["answer"]
    use, own = answer["use"], answer["self_tuning"]
    tuning = next((t for t in answer["tunings"] if t["arm"] == answer["tuning"]), None)
    shorts = [_first_words(line["text"]) for line in answer["lines"][:3]]
    if use:
        test = results["arms"][use["arm"]]["test"][results["selection"]["epoch"]]
        score = score_text(results["metric"], test)
        undecided = f"undecided; {use['arm']} leads with {score.partition(' (')[0]}"
        shorts[0] = f"{use['arm']}: {score}" if use["decided"] else undecided
    if tuning:
        gain = tuning["gain"]
        nothing = changes_nothing(gain, tuning["default_won"], tuning["searches"])
        shorts[1] = f"{tuning['arm']}: {'nothing' if nothing else _size(gain)}"
    if own and own["gaps"]:
        shorts[2] = f"{own['arm']}: {_size(_hardest(own), ' over ' + _hardest(own)['over'])}"
    return shorts


def _common(results: Results) -> list[Glance]:
    """Whether it was the study's own learning rate that decided, where every arm got one."""
    if "common" not in results or (common := results["answer"].get("common")) is None:
        return []
    gap = common["gap"]
    short = f"{gap['arm']}: {_size(gap)}" if gap else _first_words(common["sentence"])
    question = f"What does choosing {listed(list(results['common']['space']))} buy?"
    return [Glance(question, short, common["sentence"])]


def _first_words(sentence: str) -> str:
    """Nothing was tuned: of each arm there is its default alone. -> nothing was tuned."""
    words = sentence.partition(":")[0].rstrip(".")
    return words[:1].lower() + words[1:]


def _size(gap: Gap, over: str = "") -> str:
    """A gap in a few words; over: whom, in words."""
    size = bare(gap)
    few = f" (only {count(gap['repeats'], 'repeat')})" if size != gap["text"] else ""
    return f"{size}{over}{few}"


def _hardest(own: SelfTuning) -> Gap:
    """The opponent that a self-tuning arm gains least over."""
    known = [gap for gap in own["gaps"] if gap["mean"] is not None]
    return min(known or own["gaps"], key=lambda gap: gap["mean"] or 0.0)


def _trust(results: Results) -> Glance:
    """What the intervals rest on, and how far the study has come."""
    runs, epoch = results["runs"], results["selection"]["epoch"]
    tests = [arm["test"][epoch] for arm in results["arms"].values()]
    repeats = max((test["repeats"] for test in tests), default=0)
    final = max((test["n"] for test in tests), default=0)
    whole = runs["done"] >= runs["planned"]
    short = f"{count(repeats, 'repeat')}, " + (
        "complete" if whole else f"{runs['done']} of {runs['planned']} runs"
    )
    most = "Up to " if len({test["n"] for test in tests}) > 1 else ""
    basis = f"{most}{count(final, 'final run')} in {count(repeats, 'repeat')} per arm"
    told = any(interval_told(test)[2] != "none" for test in tests)
    open_end = "" if whole else " The study is not finished: the answer may change."
    return Glance(
        TRUST,
        short,
        f"{basis}{_brackets(repeats, told)} Arms are chosen on val, never on test.{open_end}",
        alarm=not whole or repeats < MIN_UNITS,
    )


def _brackets(repeats: int, told: bool) -> str:
    """What intervals say with so many repeats; told: whether there are any."""
    if repeats >= MIN_UNITS:
        few = "; few repeats give wide ones" if repeats < 5 else ""
        return f"; brackets are 95 % intervals{few}."
    if told:
        return "; brackets are 95 % intervals over its run seeds, and tell of this repeat alone."
    return (
        ": too few for intervals, so that nothing is shown to be better or worse; "
        f"{MIN_UNITS} repeats give some."
    )


def _cost(results: Results) -> Glance:
    """Time and passes of the study, and how a search compares with a run."""
    trials = [arm["trials"] for arm in results["arms"].values()]
    ended = sum(t["completed"] + t["diverged"] + t["failed"] + t["stopped"] for t in trials)
    total = results["cost"]["total"] or 0.0
    searched = {tuning["arm"] for tuning in results["answer"]["tunings"]}
    searches = [results["arms"][name]["passes"] for name in sorted(searched)]
    ratios = [p["search"] / p["run"] for p in searches if p["search"] and p["run"]]
    text = "Computing time, as if one trial ran after another."
    if ratios:
        text += f" A search costs {max(ratios):.0f} times one run of what it tunes."
    return Glance(COST, f"{duration(total)}, {count(ended, 'trial')}", text)


def _wrong(results: Results) -> Glance:
    """Warnings of the analysis, failures, and results that do not compare."""
    provenance = results["provenance"]
    failed = sum(arm["trials"]["failed"] for arm in results["arms"].values())
    troubles = [f"{count(failed, 'trial')} failed."] if failed else []
    troubles += [caution["text"] for caution in results["answer"]["warnings"]]
    mixture = [*provenance.get("mixture", []), *provenance.get("damaged", [])]
    missing = len(results["missing"])
    if not troubles and not mixture:
        gaps = f"; {count(missing, 'gap')} below" if missing else ""
        return Glance(WRONG, "nothing", f"No trial failed or diverged, and no arm collapsed{gaps}.")
    number = count(len(troubles) + len(mixture), "warning")
    told = [*troubles[:TOLD], *(f"{line}." for line in mixture[:TOLD])]
    if more := len(troubles) + len(mixture) - len(told):
        told.append(f"And {more} more, below.")
    return Glance(WRONG, number, " ".join(told), alarm=True)

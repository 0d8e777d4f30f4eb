"""No sentence says more than its interval: over random numbers, and over random studies."""

import re
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.analysis.answer_schema import Gap
from pipelines.analysis.headline_words import (
    break_even_sentence,
    needed_words,
    new_examples_sentence,
    verdict_sentence,
)
from pipelines.analysis.record import Record
from pipelines.analysis.results import summarise
from pipelines.analysis.runs import MIN_UNITS
from pipelines.analysis.sentences import (
    basis_sentence,
    gap_of,
    score_text,
    self_tuning_sentence,
    tuning_sentence,
    use_sentence,
)
from pipelines.analysis.words import claim_of, count, listed, shown, title
from tests.support.synthetic import ARMS, synthetic_study
from tests.support.synthetic_results import said

FRACTIONS = st.integers(-(10**5), 10**5).map(lambda n: n / 10**5)
MARGINS = st.integers(1, 100).map(lambda n: n / 1000)
NUMBER = r"[+-]?\d+\.?\d*"


@st.composite
def estimates(draw):
    """A mean with an interval around it, or with none."""
    low, mean, high = sorted(draw(st.tuples(FRACTIONS, FRACTIONS, FRACTIONS)))
    known, repeats = draw(st.booleans()), draw(st.integers(1, 12))
    ends = {"low": low, "high": high} if known else {"low": None, "high": None}
    new = {"new_low": low, "new_high": high} if known and draw(st.booleans()) else None
    return {
        "mean": mean,
        **ends,
        **(new or {"new_low": None, "new_high": None}),
        "sd": 0.1,
        "n": repeats,
        "repeats": repeats,
        "failed": 0,
    }


def assert_true_of(text: str, low: float | None, high: float | None, margin: float) -> None:
    """What a text claims of "ours" against "theirs" is what the whole interval says."""
    hedged = re.sub(r"not shown to (be|improve)\b[^,;.:(]*", "", text)
    if "better" in hedged or "improves" in hedged:
        assert low is not None and low > 0, text
    if re.search(r"\bworse\b", hedged):
        assert high is not None and high < 0, text
    if "as good" in hedged or "non-inferior" in hedged or "within the margin" in hedged:
        assert low is not None and low > -margin, text
    if "by more than the margin" in hedged:
        assert high is not None and high < -margin, text
    if "not shown" in text or "inconclusive" in text:
        assert low is not None and high is not None and low <= 0 <= max(high, 0), text
        assert "better or worse" not in text or high >= 0, text
    if low is None:
        assert "too few" in text or "not available" in text, text


@given(estimates(), MARGINS)
def test_the_text_of_a_gap_shows_on_which_side_of_0_and_of_the_margin_its_ends_lie(e, margin):
    gap = gap_of("accuracy", "ours", "theirs", e, margin)
    found = re.search(rf"\[({NUMBER}), ({NUMBER})\]", gap["text"])
    assert (found is None) == (e["low"] is None)
    if found:
        for text, end in zip(found.groups(), (e["low"], e["high"]), strict=True):
            printed = float(text) / 100
            assert (printed > 0) == (end > 0) and (printed < 0) == (end < 0)
            assert (printed > -margin) == (end > -margin) or abs(printed + margin) < 1e-12
            assert printed == pytest.approx(end, abs=0.0006)


@given(estimates(), MARGINS)
@example({"mean": -0.005, "low": -0.009, "high": -0.001, "new_low": None, "new_high": None,
          "sd": 0.1, "n": 3, "repeats": 3, "failed": 0}, 0.01)  # fmt: skip
def test_every_sentence_of_a_gap_follows_from_its_interval(e, margin):
    gap = gap_of("accuracy", "ours", "theirs", e, margin)
    low, high = gap["low"], gap["high"]
    assert_true_of(self_tuning_sentence("ours", [gap], ["theirs"], ""), low, high, margin)
    verdict = verdict_sentence("accuracy", "ours", "theirs", e, margin, "last epoch")
    assert_true_of(verdict, e["low"], e["high"], margin)
    new = new_examples_sentence("accuracy", "ours", e, margin)
    assert bool(new) == (e["new_low"] is not None)
    if new:
        assert_true_of(new, e["new_low"], e["new_high"], margin)


@given(estimates(), MARGINS, st.integers(0, 4), st.integers(1, 4))
def test_tuning_improves_or_harms_only_where_the_whole_interval_says_so(e, margin, won, searches):
    gap = gap_of("accuracy", "gce", "default", e, margin)
    text = tuning_sentence("gce", gap, won, searches)
    if gap["low"] is None and won == searches:
        assert text.startswith("Tuning does not change gce: its default won")
    else:
        assert_true_of(text, gap["low"], gap["high"], margin)
    assert f"its default won {won} of {searches} search{'es' if searches > 1 else ''};" not in text
    assert re.search(rf"won {won} of {searches} search(es)?\.", text)
    assert ("searches" in text) == (searches != 1)


@given(estimates(), MARGINS)
def test_what_to_use_is_called_as_good_as_the_best_only_if_it_is_shown(e, margin):
    gap = gap_of("accuracy", "ours", "best", e, margin)
    if gap["mean"] is None or gap["mean"] < -margin or gap["claim"] == "far worse":
        return
    text = use_sentence("ours", "94.0 %", gap, 2, [], "1.0 points")
    assert_true_of(text.split("best on val")[1], gap["low"], gap["high"], margin)


@st.composite
def break_evens(draw):
    """b* with its interval, as `break_even` gives it; None lies beyond the search."""
    largest = draw(st.integers(1, 40))
    points = sorted(draw(st.tuples(*[st.integers(0, 10 * largest + 30)] * 3)))
    low, budget, high = (None if p > 10 * largest else p / 10 for p in points)
    known = draw(st.booleans())
    return {
        "label": "",
        "budget": budget,
        "low": low if known else None,
        "high": high if known else None,
        "interval": known,
        "largest": largest,
        "trials": None if budget is None else budget + 1,
        "passes": None if budget is None else 1000.0 * budget,
        "passes_low": None,
        "passes_high": None,
        "passes_saved": None,
        "repeats": draw(st.integers(1, 12)),
    }


@given(break_evens())
def test_a_search_is_not_enough_only_where_the_whole_interval_of_b_star_lies_beyond_it(b):
    text = break_even_sentence("gce", "l2rw", b)
    if "not enough" in text:
        assert b["interval"] and b["low"] is None and b["budget"] is None
    if "not shown to be enough" in text:
        assert b["budget"] is None and not (b["interval"] and b["low"] is None)
    if "its default already does" in text:
        assert b["budget"] == 0 and b["interval"] and b["high"] == 0
    wrong = r"(?<![\d.])1 (random trials|repeats)|[02-9] (random trial|repeat)\b|1 random trial are"
    assert not re.search(wrong, text)


@given(st.integers(0, 30), st.sampled_from(["run", "repeat", "search", "arm"]))
def test_one_is_singular_and_all_other_numbers_are_plural(n, noun):
    text = count(n, noun)
    assert text.startswith(f"{n} ") and (text == f"{n} {noun}") == (n == 1)
    assert not text.endswith("chs")


def test_few_words_by_hand():
    assert listed(["a"]) == "a" and listed(["a", "b", "c"]) == "a, b and c"
    assert title("control: the clean ones (Liu et al. 2020), doubled") == "the clean ones, doubled"
    assert needed_words(1, "repeats") == "about 1 repeat more would decide"
    assert needed_words(None, "seeds") == ""
    assert shown("accuracy", [0.00004], [0.0], "+") == ["+0.004"]
    assert shown("accuracy", [0.00004]) == ["0.0"]
    assert "one repeat" in basis_sentence("new examples", 1)


@pytest.mark.parametrize(
    ("low", "high", "claim"),
    [
        (0.001, 0.1, "better"),
        (-0.009, 0.1, "as good"),
        (-0.009, -0.001, "slightly worse"),
        (-0.02, -0.001, "worse"),
        (-0.02, -0.011, "far worse"),
        (-0.02, 0.001, "undecided"),
        (0.0, 0.1, "as good"),
        (None, None, "no interval"),
    ],
)
def test_a_claim_is_of_the_whole_interval_with_a_margin_of_1_point(low, high, claim):
    assert claim_of(low, high, 0.01) == claim


def accuracies(record: Record) -> Record:
    """The same with scores that an accuracy can have."""
    return replace(record, test={rule: min(max(s, 0.0), 1.0) for rule, s in record.test.items()})


def assert_consistent(gap: Gap, margin: float) -> None:
    assert gap["claim"] == claim_of(gap["low"], gap["high"], margin)
    for end in (gap["low"], gap["high"]):
        assert end is None or -1 <= end <= 1


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 3), st.sampled_from([0.002, 0.05, 0.3])
)
def test_no_answer_of_a_random_study_contradicts_its_numbers(seed, repeats, seeds, run_sd):
    records, info = synthetic_study(
        ARMS, repeats=repeats, trials=3, seeds=seeds, run_sd=run_sd, seed=seed
    )
    results = summarise([accuracies(r) for r in records], info)
    answer, margin = results["answer"], results["margin"]
    gaps = [t["gain"] for t in answer["tunings"]]
    for part in (answer["self_tuning"], answer["use"]):
        assert part is not None
        gaps += part.get("gaps", []) + part.get("open", [])
    for gap in gaps:
        assert_consistent(gap, margin)
    for name, arm in results["arms"].items():
        low, high = (arm["test"]["last"][end] for end in ("low", "high"))
        assert low is None or 0 <= low <= high <= 1, name
    use = answer["use"]
    assert use is not None
    if use["gap"]:
        assert use["gap"]["mean"] >= -margin and use["arm"] in use["alike"]
    units = seeds if repeats == 1 else repeats
    if units < MIN_UNITS:
        assert {gap["claim"] for gap in gaps} == {"no interval"} and not use["decided"]
        assert "too few" in answer["basis"] and "too few repeats" in said(results)
        assert "more would decide" not in said(results) and "shown" not in answer_text(answer)


def answer_text(answer) -> str:
    return " ".join(line["text"] for line in answer["lines"])


@pytest.mark.parametrize("low", [0.0, 0.2])
def test_a_score_is_shown_with_its_ends_and_without_them_it_says_why(low):
    e = {"mean": 0.9, "low": low, "high": 1.0, "new_low": None, "new_high": None, "sd": None,
         "n": 3, "repeats": 3, "failed": 0}  # fmt: skip
    assert score_text("accuracy", e) == f"90.0 % [{100 * low:.1f}, 100.0]"
    assert score_text("accuracy", e | {"low": None}) == "90.0 % (too few repeats for an interval)"
    same = e | {"low": None, "sd": 0.0}
    assert score_text("accuracy", same) == "90.0 % (the same in all repeats)"
    few = same | {"repeats": 2}
    assert score_text("accuracy", few) == "90.0 % (too few repeats for an interval)"

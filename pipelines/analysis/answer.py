"""The answer at a glance: what to use, what tuning buys, what self-tuning buys, what went wrong.

Arms are chosen by val, never by test: what is reported must not pick itself.
"""

from collections.abc import Collection, Mapping
from math import inf

from pipelines.analysis.answer_schema import (
    Answer,
    Gap,
    Line,
    RunCounts,
    SelfTuning,
    Tuning,
    Use,
)
from pipelines.analysis.arm_runs import ArmRuns
from pipelines.analysis.as_json import estimate_json
from pipelines.analysis.estimate_schema import EstimateJson
from pipelines.analysis.pairs import compare_arms, uses_no_more_labels
from pipelines.analysis.record import EpochRule
from pipelines.analysis.results_schema import ArmResults, Results
from pipelines.analysis.selection import best_arm
from pipelines.analysis.sentences import (
    basis_sentence,
    cost_text,
    gap_of,
    interval_told,
    leader_sentence,
    score_text,
    self_tuning_sentence,
    tuning_sentence,
    use_sentence,
)
from pipelines.analysis.troubles import PLAIN, cautions
from pipelines.analysis.words import count, shown, title, unit
from pipelines.kinds import KINDS, is_oracle, learns_itself

SIMPLICITY = {"plain": 0, "control": 1, "tuned": 2, "self-tuning": 2}
USE, TUNE, SELF_TUNE, PROGRESS = (
    "What should I use?",
    "What does tuning buy?",
    "What does self-tuning buy?",
    "How far is it?",
)


def answer(results: Results, runs: Mapping[str, ArmRuns]) -> Answer:
    """The answer box of a study; results: all but the answer itself."""
    study = _Study(results, runs)
    use, tunings, tuning = study.use(), study.tunings(), study.main_tuned()
    self_tuning = study.self_tuning({use["arm"] if use else None, tuning})
    told = next((t["sentence"] for t in tunings if t["arm"] == tuning), study.untold())
    lines: list[Line] = [
        {"question": USE, "text": use["sentence"] if use else study.unchosen()},
        {"question": TUNE, "text": told},
        {
            "question": SELF_TUNE,
            "text": self_tuning["sentence"] if self_tuning else study.unlearned(),
        },
    ]
    return {
        "lines": [*lines, *_progress(results["runs"])],
        "basis": study.basis(),
        "warnings": cautions(results, runs),
        "use": use,
        "tuning": tuning,
        "tunings": tunings,
        "self_tuning": self_tuning,
    }


def _progress(runs: RunCounts) -> list[Line]:
    if runs["done"] >= runs["planned"]:
        return []
    ended = f"{runs['done']} of {count(runs['planned'], 'run')}"
    return [{"question": PROGRESS, "text": f"{ended} have ended: the answer may change."}]


class _Study:
    """Results and runs of a study, asked for what the answer is made of."""

    def __init__(self, results: Results, runs: Mapping[str, ArmRuns]) -> None:
        self.results, self.runs = results, runs
        self.arms = {n: arm for n, arm in results["arms"].items() if not is_oracle(arm["kind"])}
        self.metric = results["metric"]
        self.margin = results["margin"]
        self.epoch: EpochRule = results["selection"]["epoch"]

    def use(self) -> Use | None:
        """The simplest and cheapest arm whose score is within the margin of the best one's."""
        best = best_arm({name: arm["val"]["mean"] for name, arm in self.arms.items()})
        if best is None or self._test(best)["mean"] is None:
            return None
        gaps = {n: self._gap(n, best) for n in self.arms if n != best}
        known = {n: g for n, g in gaps.items() if g["mean"] is not None and g["low"] is not None}
        if not known and len(self.arms) > 1:
            sentence = leader_sentence(self._named(best), self._score(best))
            return {"arm": best, "best": best, "gap": None, "alike": [best], "open": [],
                    "decided": False, "sentence": sentence}  # fmt: skip
        near = [n for n, g in gaps.items() if g["mean"] is not None and g["mean"] >= -self.margin]
        alike = sorted([best, *near], key=self._simplicity)
        chosen = alike[0]
        simpler = [n for n in known if self._simplicity(n) < self._simplicity(chosen)]
        open_arms = [gaps[n] for n in simpler if gaps[n]["claim"] != "far worse"]
        gap = gaps.get(chosen)
        sentence = use_sentence(
            self._named(chosen), self._score(chosen), gap, len(alike), open_arms, self._margin()
        )
        return {
            "arm": chosen,
            "best": best,
            "gap": gap,
            "alike": alike,
            "decided": True,
            "open": open_arms,
            "sentence": sentence,
        }

    def unchosen(self) -> str:
        """Why there is no arm to use."""
        if all(self._test(name)["mean"] is None for name in self.arms):
            return "No final run has finished yet."
        return (
            "Nothing chooses among the arms: none has a score on val. Their test scores are in the "
            "table of arms."
        )

    def basis(self) -> str:
        """What the intervals speak of, by the score of the arm that leads on val."""
        best = best_arm({name: arm["val"]["mean"] for name, arm in self.arms.items()})
        if best is None:
            return ""
        score = self._test(best)
        return basis_sentence(interval_told(score)[2], score["repeats"])

    def main_tuned(self) -> str | None:
        """The tuned arm of the headline; without one the tuned arm with the best val."""
        tuned = {name: arm["val"]["mean"] for name, arm in self.arms.items() if arm["tuned"]}
        return self.results["headline"]["tuned"] or best_arm(tuned)

    def tunings(self) -> list[Tuning]:
        """What tuning buys each tuned arm that has been searched, further than its default."""
        return [
            self._tuning(name, arm)
            for name, arm in self.arms.items()
            if arm["tuned"] and arm.get("selected") and self._is_searched(name)
        ]

    def untold(self) -> str:
        """Why there is nothing to say of tuning."""
        if not any(arm["tuned"] for arm in self.arms.values()):
            return "No arm is tuned in this study."
        tuned = [name for name, arm in self.arms.items() if arm["tuned"] and arm.get("selected")]
        if tuned and not any(map(self._is_searched, tuned)):
            return "Nothing was tuned: of each tuned arm there is its default alone."
        return "No search has finished yet."

    def unlearned(self) -> str:
        """Why there is nothing to say of self-tuning."""
        ours = [
            n for n, arm in self.arms.items() if learns_itself(arm["kind"]) and not arm["tuned"]
        ]
        if any(self._test(name)["mean"] is not None for name in ours):
            return "No self-tuning arm was chosen: none has a score on val."
        if ours:
            return "No self-tuning arm has finished yet."
        return "No arm tunes itself in this study."

    def _is_searched(self, name: str) -> bool:
        return len({record.index for record in self.runs[name].in_role("search")}) > 1

    def _tuning(self, name: str, arm: ArmResults) -> Tuning:
        assert "selected" in arm and "tunability" in arm
        won = sum(chosen["index"] == 0 for chosen in arm["selected"])
        searches = len(arm["selected"])
        gain = gap_of(self.metric, name, "default", arm["tunability"], self.margin)
        return {
            "arm": name,
            "gain": gain,
            "default_won": won,
            "searches": searches,
            "sentence": tuning_sentence(self._named(name), gain, won, searches),
        }

    def self_tuning(self, known: Collection[str | None]) -> SelfTuning | None:
        """The self-tuning arm against plain cross-entropy, the best control, the best tuned arm.

        known: arms whose full name has been told.
        """
        ours = self.results["headline"]["untuned"]
        if ours is None:
            return None
        opponents = dict.fromkeys(
            [PLAIN, self._best_control(ours), self.results["headline"]["tuned"]]
        )
        gaps = [self._gap(ours, o) for o in opponents if o in self.arms]
        gaps = [gap for gap in gaps if gap["mean"] is not None]
        cost = self.arms[ours]["passes"]["ratio_to_ce"]
        names = [self._opponent(gap["over"], known) for gap in gaps]
        own = ours if ours in known else self._named(ours)
        sentence = self_tuning_sentence(own, gaps, names, cost_text(cost))
        return {"arm": ours, "gaps": gaps, "cost": cost, "sentence": sentence}

    def _best_control(self, ours: str) -> str | None:
        controls = {
            name: arm["val"]["mean"]
            for name, arm in self.arms.items()
            if KINDS[arm["kind"]].side == "control"
            and uses_no_more_labels(self.runs[name], self.runs[ours])
        }
        return best_arm(controls)

    def _opponent(self, name: str, known: Collection[str | None]) -> str:
        named = name if name in known else self._named(name)
        return f"tuned {named} at equal clean labels" if self.arms[name]["tuned"] else named

    def _gap(self, arm: str, over: str) -> Gap:
        comparison = compare_arms(self.runs[arm], self.runs[over], self.margin)
        difference = estimate_json(comparison.difference)
        return gap_of(self.metric, arm, over, difference, self.margin)

    def _simplicity(self, name: str) -> tuple[float, float, int]:
        """Plain, then controls, then the rest; then by passes of a search and a run together."""
        arm = self.arms[name]
        side, passes = KINDS[arm["kind"]].side, arm["passes"]
        cost = inf if passes["run"] is None else self._searched(name) + passes["run"]
        rank = 2 if arm["tuned"] or learns_itself(arm["kind"]) else SIMPLICITY[side]
        return rank, cost, list(self.arms).index(name)

    def _searched(self, name: str) -> float:
        """Passes of all that chose for an arm in a repeat: its search, and common knobs."""
        search = self.arms[name]["passes"]["search"] or 0
        return search + (self.runs[name].common_cost("passes") or 0)

    def _test(self, name: str) -> EstimateJson:
        return self.arms[name]["test"][self.epoch]

    def _score(self, name: str) -> str:
        passes = self.arms[name]["passes"]
        run, search, ratio = passes["run"], self._searched(name), passes["ratio_to_ce"]
        cost = cost_text(ratio, ratio * (search + run) / run if ratio and run and search else None)
        return ", ".join(filter(None, [score_text(self.metric, self._test(name)), cost]))

    def _named(self, name: str) -> str:
        about = title(self.arms[name]["about"])
        return f"{name} ({about})" if about else name

    def _margin(self) -> str:
        [margin] = shown(self.metric, [self.margin])
        return f"{margin} {unit(self.metric)}"

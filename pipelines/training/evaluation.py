"""How good a trial's model is: on val at the end of an epoch, on test at the end of the trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from methods.objective import Objective
from pipelines.collapse import ONE, Signs, signs_of
from pipelines.data.task import Split, Task
from pipelines.metrics import METRICS, evaluate
from pipelines.models.network import EVALUATION_BATCH, Network
from pipelines.stored_predictions import confusion_matrix, pack_hits
from pipelines.study.phase_rules import selects
from pipelines.study.phases import Phase
from pipelines.study.protocol import Protocol
from pipelines.training.attack import ProtocolAttack
from pipelines.training.passes import attack_passes
from pipelines.training.snapshot import clone
from pipelines.trial_documents import FinalScores, HistoryRow, Scores


class Evaluator:
    """Evaluates, and keeps the weights of the epoch that is best on val.

    It selects unless a phase trains on val.
    """

    def __init__(self, task: Task, protocol: Protocol, phases: Sequence[Phase]) -> None:
        self.task, self.metric, self.selects = task, protocol.metric, selects(phases, protocol)
        self.attack = ProtocolAttack(protocol, task) if protocol.attack else None
        self.best: dict[str, Any] | None = None

    def passes(self, networks: int) -> int:
        """Example passes that the end of an epoch takes."""
        if self.attack is None or not self.selects:
            return 0
        return attack_passes(self.attack.attack, networks, len(self.task.val))

    def epoch(
        self, network: Network, objective: Objective, number: int, phase: int
    ) -> dict[str, float]:
        """Metrics on val for a row of the history; empty where nothing selects by them."""
        if not self.selects:
            return {}
        metrics = self._measured(network, objective, "val")[0]
        value = self._score(metrics)
        if self.best is None or value > self.best["score"]:
            self.best = {
                "score": value,
                "epoch": number,
                "phase": phase,
                "model": clone(network.model.state_dict()),
                "objective": clone(objective.state_dict()),
            }
        calls = confusion_matrix(metrics["confusion"]).sum(axis=0)
        row = {f"val/{n}": v for n, v in metrics.items() if isinstance(v, float)}
        return row | {ONE: float(calls.max() / calls.sum())}

    def final_scores(
        self,
        last: dict[str, Any],
        network: Network,
        objective: Objective,
        rebuild: Callable[[int], Objective],
    ) -> FinalScores:
        """A finished trial's scores.

        last: the history's last row; rebuild: a phase's objective, to load selected state into.
        """
        held_out = self._held_out(network, objective, rebuild)
        if self.best is None:
            return {"val": None, "held_out": held_out}
        val = {name: last[f"val/{name}"] for name in METRICS if f"val/{name}" in last}
        scores: Scores = {"last": self._score(val), "selected": self.best["score"]}
        return {"val": scores, "held_out": held_out}

    def signs(self, history: list[HistoryRow]) -> Signs:
        """The signs of collapse that a trial's history shows."""
        metric = METRICS[self.metric]
        of_calls = metric.in_points and not metric.no_mean
        share = self.metric if of_calls else "balanced_accuracy"
        return signs_of(history, self.task.description["counts"]["val"], share)

    def worst(self) -> FinalScores:
        """The scores of a trial that diverged."""
        value = METRICS[self.metric].worst_score(len(self.task.classes))
        scores: Scores = {"last": value, "selected": value}
        return {"val": scores, "held_out": {"score": scores}}

    def _held_out(
        self, network: Network, objective: Objective, rebuild: Callable[[int], Objective]
    ) -> dict[str, Any]:
        last, correct = self._measured(network, objective, "test")
        selected, correct_selected = last, correct
        if self.best is not None:
            chosen = rebuild(self.best["phase"])
            chosen.load_state_dict(self.best["objective"])
            final = clone(network.model.state_dict())
            network.model.load_state_dict(self.best["model"])
            selected, correct_selected = self._measured(network, chosen, "test")
            network.model.load_state_dict(final)
        scores = {"last": self._score(last), "selected": self._score(selected)}
        hits = {"last": correct, "selected": correct_selected}
        return {"score": scores, "last": last, "selected": selected, "correct": hits}

    def _measured(
        self, network: Network, objective: Objective, name: str
    ) -> tuple[dict[str, Any], str]:
        """Metrics on a split of that name, and which of its examples count as right by the metric.

        They are packed as `pack_hits` does.
        """
        split: Split = getattr(self.task, name)
        outputs = network.evaluate(map(self.task.normalise, split.x.split(EVALUATION_BATCH)))
        clean = scored = objective.predict(outputs)
        attacked = None
        if self.attack is not None:
            attacked = objective.predict(self.attack.outputs(network, split, name))
            scored = attacked if METRICS[self.metric].attacked else clean
        return evaluate(clean, split.y, attacked), pack_hits(scored, split.y)

    def _score(self, metrics: dict[str, Any]) -> float:
        return METRICS[self.metric].score(metrics[self.metric])

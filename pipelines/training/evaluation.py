"""How good a trial's model is: on val at the end of an epoch, on test at the end of the trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from methods.objective import Objective
from pipelines.data.task import Split, Task
from pipelines.metrics import METRICS, evaluate, pack_hits
from pipelines.models.network import EVALUATION_BATCH, Network
from pipelines.training.snapshot import clone
from pipelines.trial_documents import FinalScores, Scores


class Evaluator:
    """Evaluates, and keeps the weights of the epoch that is best on val.

    selects: whether val is there to select by, or has been trained on.
    """

    def __init__(self, task: Task, metric: str, selects: bool) -> None:
        self.task, self.metric, self.selects = task, metric, selects
        self.best: dict[str, Any] | None = None

    def epoch(
        self, network: Network, objective: Objective, number: int, phase: int
    ) -> dict[str, float]:
        """Metrics on val for a row of the history; empty where nothing selects by them."""
        if not self.selects:
            return {}
        metrics = self._metrics(network, objective, self.task.val)
        value = self._score(metrics)
        if self.best is None or value > self.best["score"]:
            self.best = {
                "score": value,
                "epoch": number,
                "phase": phase,
                "model": clone(network.model.state_dict()),
                "objective": clone(objective.state_dict()),
            }
        return {f"val/{n}": v for n, v in metrics.items() if isinstance(v, float)}

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
        val = {n.removeprefix("val/"): v for n, v in last.items() if n.startswith("val/")}
        scores: Scores = {"last": self._score(val), "selected": self.best["score"]}
        return {"val": scores, "held_out": held_out}

    def worst(self) -> FinalScores:
        """The scores of a trial that diverged."""
        value = METRICS[self.metric].worst_score(len(self.task.classes))
        scores: Scores = {"last": value, "selected": value}
        return {"val": scores, "held_out": {"score": scores}}

    def _held_out(
        self, network: Network, objective: Objective, rebuild: Callable[[int], Objective]
    ) -> dict[str, Any]:
        last, correct = self._tested(network, objective)
        selected, correct_selected = last, correct
        if self.best is not None:
            chosen = rebuild(self.best["phase"])
            chosen.load_state_dict(self.best["objective"])
            final = clone(network.model.state_dict())
            network.model.load_state_dict(self.best["model"])
            selected, correct_selected = self._tested(network, chosen)
            network.model.load_state_dict(final)
        scores = {"last": self._score(last), "selected": self._score(selected)}
        hits = {"last": correct, "selected": correct_selected}
        return {"score": scores, "last": last, "selected": selected, "correct": hits}

    def _tested(self, network: Network, objective: Objective) -> tuple[dict[str, Any], str]:
        """Metrics on test, and which of its examples are classified right."""
        probabilities = self._probabilities(network, objective, self.task.test)
        labels = self.task.test.y
        return evaluate(probabilities, labels), pack_hits(probabilities, labels)

    def _metrics(self, network: Network, objective: Objective, split: Split) -> dict[str, Any]:
        return evaluate(self._probabilities(network, objective, split), split.y)

    def _probabilities(self, network: Network, objective: Objective, split: Split) -> Tensor:
        outputs = network.evaluate(map(self.task.normalise, split.x.split(EVALUATION_BATCH)))
        return objective.predict(outputs)

    def _score(self, metrics: dict[str, Any]) -> float:
        return METRICS[self.metric].score(metrics[self.metric])

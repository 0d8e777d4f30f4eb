"""A trial whose model is no network: it is fitted at once, and judged as all others are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from methods.fitted import Fitted
from methods.objective import cross_entropy, seed_of
from pipelines.data.task import Split, Task, prepare
from pipelines.errors import UserError
from pipelines.models.network import EVALUATION_BATCH, Network
from pipelines.study.method_loading import build_method
from pipelines.study.phase_rules import check_under
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.evaluation import Evaluator
from pipelines.training.example_weights import ExampleRecord
from pipelines.training.peak_memory import peak_memory
from pipelines.training.progress import Progress, State
from pipelines.training.snapshot import clone
from pipelines.trial_documents import Outcome

SEEDS = 2**32  # scikit-learn's are below


class FittingRun:
    """A trial of one fit: a history of one row, no passes, and a snapshot once it is done.

    A fit that is interrupted begins anew. The model is fitted on the CPU by as many threads as the
    protocol says, on inputs as a network sees them, but never augmented. task: examples in place of
    those of the spec.
    """

    def __init__(self, spec: TrainingSpec, device: torch.device, task: Task | None = None) -> None:
        [self.phase] = spec.phases
        self.protocol, self.seed, self.device = spec.protocol, spec.run_seed, device
        check_under(self.phase, self.protocol)
        torch.set_num_threads(self.protocol.threads)
        self.task = task or prepare(self.protocol, spec.data_seed)
        self.objective = self._build_objective()
        self.evaluator = Evaluator(self.task.to(device), self.protocol, spec.phases)
        self.record = ExampleRecord(self.task.description["examples"], device)
        self.history: list[dict[str, Any]] = []
        self.network: Network | None = None
        self.seconds = 0.0

    def _build_objective(self, _phase: int = 0) -> Fitted:
        method = build_method(self.phase.method, self.phase.hyperparameters)
        assert isinstance(method, Fitted)
        return method

    def steps(self) -> Iterator[Progress]:
        """Fit, unless that is done."""
        if not self.history:
            start = time.perf_counter()
            row = self._fit(self.task.pool(self.phase.pool, self.phase.meta_repeat))
            self.seconds = time.perf_counter() - start
            self.history.append(row)
            yield Progress(row, None, self.state_dict)

    def _fit(self, pool: Split) -> dict[str, Any]:
        features = pool.x.shape[1:].numel()
        if features > self.objective.most_features:
            raise UserError(
                f"{self.phase.method}: the inputs have {features:,} features each, more than the "
                f"{self.objective.most_features:,} that it is fitted on"
            )
        if len(pool.y.unique()) < 2:
            raise UserError(f"{self.phase.method}: all examples of its pool have one label")
        x, weights = self.task.normalise(pool.x[:]).flatten(1), torch.ones(len(pool))
        seed = seed_of(self.seed, "fit") % SEEDS
        with threadpool_limits(self.protocol.threads):
            model = self.objective.fit(x, pool.y, weights, len(self.task.classes), seed)
        self._stand_at(model)
        return self._observe(pool)

    def _stand_at(self, model: torch.nn.Module) -> None:
        self.network = Network(model.to(self.device))

    def _observe(self, pool: Split) -> dict[str, Any]:
        """The row of the history; and what the model thinks of each example of its pool."""
        assert self.network
        parts = pool.to(self.device)
        outputs = self.network.evaluate(map(self._normalise, parts.x.split(EVALUATION_BATCH)))
        classes = len(self.task.classes)
        losses = cross_entropy(outputs.logits, torch.eye(classes, device=self.device)[parts.y])
        self.record.losses[parts.index] = losses
        predictions = outputs.logits.argmax(dim=1)
        self.record.predictions[parts.index] = predictions.to(self.record.predictions.dtype)
        row = {"epoch": 1, "phase": self.phase.name, "train/loss": float(losses.mean())}
        row |= self.evaluator.epoch(self.network, self.objective, 1, 0)
        return row | {"passes": 0}

    def _normalise(self, x: Tensor) -> Tensor:
        return self.evaluator.task.normalise(x)

    def result(self) -> Outcome:
        """What the trial came to."""
        assert self.network
        best = self.evaluator.best
        scores = self.evaluator.final_scores(
            self.history[-1], self.network, self.objective, self._build_objective
        )
        return {
            "status": "completed",
            "epochs": 1,
            "selected_epoch": best["epoch"] if best else None,
            **scores,
            "passes": 0,
            "learned": {},
            "weights_auroc": None,
            "collapse": self.evaluator.signs(self.history),
            "data": self.task.description,
            "cost": {"seconds": self.seconds, "peak_memory": peak_memory(self.device)},
        }

    def state_dict(self) -> State:
        """The fitted model and what is known of it, as a network's trial has them."""
        assert self.network
        state = {
            "steps": 1,
            "position": [0, 1, 0],
            "model": self.network.model.state_dict(),
            "objective": self.objective.state_dict(),
            "best": self.evaluator.best,
            "history": self.history,
            "passes": 0,
            "seconds": self.seconds,
            "diverged": False,
            "average": None,
        }
        return clone(state | self.record.state_dict())

    def load_state_dict(self, state: State) -> None:
        """Stand where the state was taken."""
        state = clone(state)
        self._stand_at(self.objective.fitted(state["model"]))
        self.record.load_state_dict(state)
        self.evaluator.best = state["best"]
        self.history, self.seconds = state["history"], state["seconds"]

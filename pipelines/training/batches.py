"""The batches of a phase: training examples and clean ones, augmented, on the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from methods.objective import Batch, Key, generator
from pipelines.data.task import Split, Task
from pipelines.hypergradient.meta_step import Clean
from pipelines.training.augmentation import Augmentation, draw_crop_offsets
from pipelines.training.clean_examples import CleanExamples
from pipelines.training.mixing import Mixing
from pipelines.training.step_inputs import StepInputs


class Batches:
    """Gathers, augments, normalises and mixes the examples of a step.

    pool: what the phase trains on; clean: what its clean loss is taken on; method: its path, for
    messages.
    """

    def __init__(
        self,
        task: Task,
        pool: Split,
        clean: CleanExamples,
        augmentation: Augmentation,
        method: str,
    ) -> None:
        self.task, self.pool, self.clean, self.augmentation = task, pool, clean, augmentation
        self._mixing = Mixing(augmentation.mixes, method) if augmentation.mixes else None
        classes = len(task.classes)  # behind their rows one of 0, of those without a label: -1
        self.one_hot = torch.eye(classes + 1, classes, device=pool.y.device)

    def training(self, step_inputs: StepInputs, key: Key, later: int = 0) -> Batch:
        """The training batch of a step.

        key: of the step; later: how many steps later it is taken, in a look-ahead of several.
        """
        rows, purpose = step_inputs.rows, ("augment images", later)
        x, y = self._examples(self.pool, rows, step_inputs.crop_offsets, key, *purpose)
        batch = Batch(
            x=x,
            y=y,
            index=self.pool.index[rows],
            trusted=self.pool.trusted[rows],
            key=key,
            progress=step_inputs.progress,
            augment=self._anew(rows, key) if self.augmentation.anew else None,
        )
        return self._mixing(batch, (*key, *purpose)) if self._mixing else batch

    def later(self, step_inputs: StepInputs, key: Key) -> list[Batch]:
        """Those of a look-ahead's later steps: what this epoch takes next."""
        if step_inputs.later_rows is None:
            return []
        batches, offsets = [], step_inputs.later_crop_offsets
        for number, rows in enumerate(step_inputs.later_rows):
            crops = None if offsets is None else offsets[number]
            inputs = replace(step_inputs, rows=rows, crop_offsets=crops)
            batches.append(self.training(inputs, key, number + 1))
        return batches

    def clean_loss(self, step_inputs: StepInputs, key: Key) -> Clean:
        """The clean batch of a step, likewise, but never mixed: what a model is judged by is not.

        key: of the step.
        """
        assert step_inputs.clean_rows is not None
        rows, crops = self.clean.rows(step_inputs.clean_rows), step_inputs.clean_crop_offsets
        return self._examples(self.clean.split, rows, crops, key, "augment images meta")

    def _anew(self, rows: Tensor, key: Key) -> Callable[[int], Tensor]:
        def augment(number: int) -> Tensor:
            gen = generator(*key, "augment again", number)
            crops = draw_crop_offsets(len(rows), gen).to(rows) if self.augmentation.crops else None
            return self._examples(self.pool, rows, crops, key, "images again", number)[0]

        return augment

    def _examples(
        self, split: Split, rows: Tensor, crop_offsets: Tensor | None, key: Key, *purpose: int | str
    ) -> tuple[Tensor, Tensor]:
        x = split.x.index_select(0, rows)  # on CPUs ten times as fast as split.x[rows]
        x = self.augmentation(x, crop_offsets, key, *purpose)
        return self.task.normalise(x), self._targets(split, rows)

    def _targets(self, split: Split, rows: Tensor) -> Tensor:
        """Label distributions: of one label 1 at that, without one zeros.

        Of several annotators' answers their shares, unless somebody has verified the label.
        """
        one_hot = self.one_hot[split.y[rows]]
        if self.task.soft is None:
            return one_hot
        soft = self.task.soft[split.index[rows]].to(one_hot)
        plain = split.trusted[rows] | (split.y[rows] < 0) | (soft.sum(dim=1) == 0)
        return torch.where(plain[:, None], one_hot, soft)

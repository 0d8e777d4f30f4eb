"""The examples that a phase's clean loss is taken on."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.objective import Predict, cross_entropy
from pipelines.data.task import Split, Task
from pipelines.study.phases import Meta


def easiest(losses: Tensor, y: Tensor, per_class: int) -> Tensor:
    """Places [m], rising, of the examples of each class whose loss is smallest.

    losses [n]; y [n]: class numbers; per_class: how many of each, or all where it has fewer. Of
    equal losses the first ones.
    """
    order = losses.argsort(stable=True)
    order = order[y[order].argsort(stable=True)]  # by class, and in it by loss
    counts = y.bincount()
    begins = (counts.cumsum(0) - counts)[y[order]]
    rank = torch.arange(len(y), device=y.device) - begins
    return order[rank < per_class].sort().values


def clean_available(meta: Meta, task: Task) -> int:
    """How many there are; `easiest` has the same number of each class at any time."""
    if meta.source == "pseudo_clean":
        return int(task.train.y.bincount().clamp_max(meta.per_class).sum())
    return len(task.meta if meta.source == "meta" else task.train)


class CleanExamples:
    """Those of the meta split; or of the training split all, or those that the model finds easiest.

    The latter are chosen anew before each epoch, by the cross-entropy that the model (or the
    average of its weights) gives them in eval mode, not augmented: CMW-Net's authors' rule. They
    stay among the training examples.
    """

    def __init__(self, meta: Meta, task: Task) -> None:
        self.split: Split = task.meta if meta.source == "meta" else task.train
        self._per_class, self._classes = meta.per_class, len(task.classes)
        self.number = clean_available(meta, task)
        chosen = meta.source == "pseudo_clean"
        places = torch.arange(self.number, device=self.split.y.device)
        self._chosen = places if chosen else None  # of the split

    def choose(self, predict: Predict) -> int:
        """Choose for an epoch, where they are chosen; the forward passes that it took."""
        if self._chosen is None:
            return 0
        outputs, _, y, _ = predict("train")
        target = torch.eye(self._classes, device=y.device)[y]
        each = [cross_entropy(own.logits.float(), target) for own in outputs.each()]
        self._chosen.copy_(easiest(torch.stack(each).mean(dim=0), y, self._per_class))
        return len(each) * len(y)

    def rows(self, places: Tensor) -> Tensor:
        """Rows of the split of examples [m], numbered 0 ... number - 1."""
        return places if self._chosen is None else self._chosen[places]

    def state_dict(self) -> dict[str, Tensor | None]:
        """What has been chosen."""
        return {"chosen": self._chosen}

    def load_state_dict(self, state: dict[str, Tensor | None]) -> None:
        """Stand where the state was taken."""
        if self._chosen is not None and state["chosen"] is not None:
            self._chosen.copy_(state["chosen"])

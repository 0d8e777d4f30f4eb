"""Gradient-boosted trees, by scikit-learn.

Ke et al., "LightGBM: a highly efficient gradient boosting decision tree", NeurIPS 2017.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from methods.fitted import Fitted, at_least, class_weights, in_columns


class GradientBoosting(Fitted):
    """Trees on histograms of the features, each fitted to what those before leave of cross-entropy.

    Friedman, "Greedy function approximation: a gradient boosting machine", 2001, with Ke et al.'s
    histograms. Defaults are scikit-learn's, but for early stopping on a part of the training
    examples, whose labels are noisy.
    learning_rate >= 0: share of each tree. max_leaf_nodes >= 2: of a tree. rounds: of one tree for
    each class (of two, one). min_samples_leaf: fewest examples in a leaf. l2: of a leaf's value.
    balanced: examples weigh in proportion to 1 / n_y.
    """

    def __init__(
        self,
        learning_rate: float = 0.1,
        max_leaf_nodes: int = 31,
        rounds: int = 100,
        min_samples_leaf: int = 20,
        l2: float = 0.0,
        balanced: bool = False,
    ) -> None:
        super().__init__()
        at_least(0, learning_rate=learning_rate, l2=l2)
        at_least(1, rounds=rounds, min_samples_leaf=min_samples_leaf)
        at_least(2, max_leaf_nodes=max_leaf_nodes)
        self.options: dict[str, Any] = {
            "learning_rate": learning_rate,
            "max_leaf_nodes": max_leaf_nodes,
            "max_iter": rounds,
            "min_samples_leaf": min_samples_leaf,
            "l2_regularization": l2,
            "early_stopping": False,
        }
        self.balanced = balanced

    def fit(self, x: Tensor, y: Tensor, weights: Tensor, classes: int, seed: int) -> nn.Module:
        from sklearn.ensemble import HistGradientBoostingClassifier

        weights = weights * class_weights(y, classes, self.balanced)
        solver = HistGradientBoostingClassifier(**self.options, random_state=seed)
        solver.fit(x.numpy(), y.numpy(), sample_weight=weights.numpy())
        return Trees(**_tensors(solver), classes=torch.tensor(classes))

    @staticmethod
    def fitted(tensors: Mapping[str, Tensor]) -> nn.Module:
        return Trees(**tensors)


class Trees(nn.Module):
    """Sums of trees' leaves [B, K] for inputs x [B, ...].

    Of T trees with M nodes at most: feature, left, right [T, M], threshold, value [T, M] in
    float64, as they were fitted; a leaf is its own left and right. A node's first is [t, 0].
    Tree t is of the column t modulo C of base [C], the scores of no tree; depth: of the deepest.
    """

    def __init__(
        self,
        feature: Tensor,
        threshold: Tensor,
        left: Tensor,
        right: Tensor,
        value: Tensor,
        base: Tensor,
        depth: Tensor,
        present: Tensor,
        classes: Tensor,
    ) -> None:
        super().__init__()
        self.feature, self.threshold = nn.Buffer(feature), nn.Buffer(threshold)
        self.left, self.right = nn.Buffer(left), nn.Buffer(right)
        self.value, self.base = nn.Parameter(value), nn.Buffer(base)
        self.present, self.classes = nn.Buffer(present), nn.Buffer(classes)
        self.depth = nn.Buffer(depth)
        self._depth, self._classes = int(depth), int(classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, K]."""
        features = x.flatten(1).double().T
        node = torch.zeros(len(self.feature), len(x), dtype=torch.long, device=x.device)
        for _ in range(self._depth):  # node [T, B]: where each example is in each tree
            value = features.gather(0, self.feature.gather(1, node))
            is_left = value <= self.threshold.gather(1, node)
            node = torch.where(is_left, self.left.gather(1, node), self.right.gather(1, node))
        leaves = self.value.gather(1, node).view(-1, len(self.base), len(x))
        scores = leaves.sum(dim=0).T + self.base
        return in_columns(scores.float(), self.present, self._classes)


def _tensors(solver: Any) -> dict[str, Tensor]:
    """The trees of a fitted HistGradientBoostingClassifier.

    They are in no public attribute; a test compares what is computed here with its predictions.
    """
    trees = [tree.nodes for of_a_round in solver._predictors for tree in of_a_round]
    shape = (len(trees), max(map(len, trees)))
    own = np.tile(np.arange(shape[1]), (shape[0], 1))
    columns = {
        "feature": np.zeros(shape, np.int64),
        "threshold": np.zeros(shape),
        "left": own,
        "right": own.copy(),
        "value": np.zeros(shape),
    }
    for number, nodes in enumerate(trees):
        leaf, place = nodes["is_leaf"].astype(bool), (number, slice(len(nodes)))
        columns["feature"][place] = np.where(leaf, 0, nodes["feature_idx"])
        columns["threshold"][place] = np.where(leaf, 0, nodes["num_threshold"])
        columns["value"][place] = nodes["value"]
        for side in ("left", "right"):
            columns[side][place] = np.where(leaf, own[number, : len(nodes)], nodes[side])
    return {name: torch.from_numpy(column) for name, column in columns.items()} | {
        "base": torch.from_numpy(solver._baseline_prediction).view(-1),
        "depth": torch.tensor(max(int(nodes["depth"].max()) for nodes in trees)),
        "present": torch.tensor(solver.classes_),
    }

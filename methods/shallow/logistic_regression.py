"""Logistic regression, by scikit-learn's solver."""

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from methods.fitted import Fitted, at_least, class_weights, in_columns

MOST_ITERATIONS = 1000  # of L-BFGS: ten times scikit-learn's, whose warning few would see here


class LogisticRegression(Fitted):
    """min sum_i w_i CE_i + |W|^2 / (2 c): multinomial, with an intercept that is not penalised.

    c > 0: towards 0 all classes are as likely as they are frequent, at infinity nothing is
    penalised; 1 is scikit-learn's default. balanced: w in proportion to 1 / n_y.
    """

    def __init__(self, c: float = 1.0, balanced: bool = False) -> None:
        super().__init__()
        at_least(1e-12, c=c)
        self.c, self.balanced = c, balanced

    def fit(self, x: Tensor, y: Tensor, weights: Tensor, classes: int, seed: int) -> nn.Module:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression as Solver

        weights = weights * class_weights(y, classes, self.balanced)
        solver = Solver(C=self.c, max_iter=MOST_ITERATIONS)
        with warnings.catch_warnings():  # where nothing is penalised the minimum may be at infinity
            warnings.simplefilter("ignore", ConvergenceWarning)
            solver.fit(x.double().numpy(), y.numpy(), sample_weight=weights.numpy())
        return Linear(
            torch.tensor(solver.coef_, dtype=torch.float32),
            torch.tensor(solver.intercept_, dtype=torch.float32),
            torch.tensor(solver.classes_),
            torch.tensor(classes),
        )

    @staticmethod
    def fitted(tensors: Mapping[str, Tensor]) -> nn.Module:
        return Linear(**tensors)


class Linear(nn.Module):
    """W x + b [B, K] of inputs x [B, ...]; W and b have a row for each class that is present."""

    def __init__(self, weight: Tensor, bias: Tensor, present: Tensor, classes: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.present, self.classes = nn.Buffer(present), nn.Buffer(classes)
        self._classes = int(classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, K]."""
        scores = nn.functional.linear(x.flatten(1), self.weight, self.bias)
        return in_columns(scores, self.present, self._classes)

"""Which examples get weight in a training run, and how the corrupted ones fare."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.objective import cross_entropy
from pipelines.collapse import EFFECTIVE
from pipelines.data.task import Split
from pipelines.score_order import auroc
from pipelines.training.cuda_graph import StepOutput
from pipelines.trial_documents import EDGES

SNAPSHOTS = 12


def observed_epochs(total: int) -> set[int]:
    """About a dozen epochs, the first and the last among them, in 1 ... total."""
    count = min(SNAPSHOTS, total)
    return {round(1 + i * (total - 1) / max(1, count - 1)) for i in range(count)}


@torch.no_grad()
def implicit_weights(logits: Tensor, logit_grad: Tensor, target: Tensor) -> Tensor:
    """Weight [B] of each example on cross-entropy's gradient, as the loss's own gradient shows it.

    logit_grad [B, K]: gradient of the mean loss in the logits. For a loss g(CE) that of an example
    is g'(CE) (p - y): the weight is its projection on p - y. NaN where p = y, since there is no
    gradient to weigh.
    """
    plain = logits.softmax(dim=1) - target
    norm = plain.square().sum(dim=1)
    weights = len(target) * (logit_grad * plain).sum(dim=1) / norm
    return torch.where(norm > 1e-10, weights, torch.nan)


class ExampleRecord:
    """Weight, loss and prediction [N] of each row of the data set when it was last observed.

    Before, NaN and -1. Of two networks the means; the prediction is by their mean, too.
    """

    def __init__(self, rows: int, device: torch.device) -> None:
        self.weights = torch.full((rows,), torch.nan, device=device)
        self.losses = torch.full((rows,), torch.nan, device=device)
        self.predictions = torch.full((rows,), -1, dtype=torch.int32, device=device)

    @torch.no_grad()
    def see(self, step_output: StepOutput) -> None:
        """Observe a step that was taken."""
        logits, logit_grads, batch = step_output
        weights = [
            implicit_weights(z, grad, batch.y) for z, grad in zip(logits, logit_grads, strict=True)
        ]
        losses = [cross_entropy(z, batch.y) for z in logits]
        self.weights[batch.index] = _mean(weights).float()
        self.losses[batch.index] = _mean(losses).float()
        likely = _mean([z.softmax(dim=1) for z in logits]).argmax(dim=1)
        self.predictions[batch.index] = likely.to(self.predictions.dtype)

    def row(self, train: Split) -> dict[str, object]:
        """Who has weight, for a row of the history; empty where no weight is known.

        Whether the corrupted examples have it is told where the truth of all is known.
        """
        weights = self.weights[train.index]
        if not weights.isfinite().any():
            return {}
        row: dict[str, object] = {EFFECTIVE: effective_share(weights)}
        if not (train.truth >= 0).all():
            return row
        memory = memory_row(self.predictions[train.index], train.y, train.truth)
        return row | weight_row(weights, train.y != train.truth) | memory

    def state_dict(self) -> dict[str, Tensor]:
        """What has been observed."""
        return {
            "example_weights": self.weights,
            "example_losses": self.losses,
            "example_predictions": self.predictions,
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Stand where the state was taken. Snapshots of 0.1.0 have no predictions."""
        self.weights, self.losses = state["example_weights"], state["example_losses"]
        self.predictions = state.get("example_predictions", self.predictions)


def memory_row(predicted: Tensor, labels: Tensor, truth: Tensor) -> dict[str, object]:
    """Shares of the corrupted examples that are predicted as labelled, and as they truly are.

    All [n], predicted -1 where an example was not observed. For a row of the history.
    """
    corrupted = (labels != truth) & (predicted >= 0)
    if not corrupted.any():
        return {}
    of = predicted[corrupted]
    return {
        "corrupted/memorised": float((of == labels[corrupted]).float().mean()),
        "corrupted/recovered": float((of == truth[corrupted]).float().mean()),
    }


def _mean(each: list[Tensor]) -> Tensor:
    return torch.stack(each).mean(dim=0) if len(each) > 1 else each[0]


def effective_share(weights: Tensor) -> float:
    """Share of the examples that carry the weight: (sum w)^2 / (n sum w^2), of those seen.

    1 where all n weigh alike, k / n where k of them have all of it; 0 where none has any.
    weights: [n], nan where not seen; negative ones count as 0.
    """
    seen = weights[weights.isfinite()].double().clamp_min(0)
    squares = seen.square().sum()
    return float(seen.sum().square() / squares / len(seen)) if squares > 0 else 0.0


def weight_row(weights: Tensor, corrupted: Tensor) -> dict[str, object]:
    """Histograms, means and AUROC of example weights [n], by whether the label is wrong [n].

    For a row of the history.
    """
    weights, corrupted = weights.cpu(), corrupted.cpu()
    seen = weights.isfinite()
    weights, corrupted = weights[seen], corrupted[seen]
    mean = float(weights.mean()) if len(weights) else 0.0
    relative = (weights / mean if mean > 0 else weights).round(decimals=4)
    edges = torch.tensor([*EDGES, float("inf")])
    row: dict[str, object] = {
        "weights/mean": mean,
        "weights/zero": float((relative <= 0).float().mean()),
    }
    for name, group in (("clean", relative[~corrupted]), ("corrupted", relative[corrupted])):
        bins = torch.bucketize(group.clamp_min(0), edges, right=True) - 1
        row[f"weights/{name}"] = torch.bincount(bins, minlength=len(EDGES))[: len(EDGES)].tolist()
        row[f"weights/{name}_mean"] = float(group.mean()) if len(group) else None
    row["weights/auroc"] = auroc(relative.numpy(), ~corrupted.numpy())
    return row

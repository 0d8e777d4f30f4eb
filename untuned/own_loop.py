"""Methods and hypergradients in a training loop of one's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.objective import Batch, Objective
from pipelines.hypergradient.meta_step import MetaLearner
from pipelines.models.network import Network, same_random_state
from pipelines.study.phases import Engine, Meta


def make_batch(
    x: Tensor,
    y: Tensor,
    classes: int | None = None,
    index: Tensor | None = None,
    trusted: Tensor | None = None,
    key: tuple[int | str, ...] = (),
    progress: float = 0.0,
) -> Batch:
    """The batch that objectives take, on the device of x.

    Args:
        x: inputs [B, ...], as the model takes them.
        y: class numbers [B], or label distributions [B, K].
        classes: K, where y holds class numbers.
        index: rows in the data set [B], for methods that remember examples; default 0 ... B - 1.
        trusted: whether the label is known to be clean [B]; default: none is.
        key: names the step, such as (seed, epoch, step): methods draw random numbers from it.
        progress: how much of the training is over, in [0, 1).
    """
    if not y.is_floating_point():
        if classes is None:
            raise ValueError("y holds class numbers: say how many classes there are")
        y = nn.functional.one_hot(y.long(), classes).to(x.dtype)
    return Batch(
        x=x,
        y=y,
        index=torch.arange(len(x), device=x.device) if index is None else index,
        trusted=x.new_zeros(len(x), dtype=torch.bool) if trusted is None else trusted,
        key=key,
        progress=x.new_tensor(progress),
    )


def hypergradient(
    model: nn.Module,
    objective: Objective,
    batch: Batch,
    clean: Batch,
    lr: float | Tensor,
    engine: Engine = "forward",
) -> list[Tensor]:
    """Gradient of the clean loss after a look-ahead step in each of the meta-parameters.

    The look-ahead is one step of plain SGD on the mean of the objective's losses, the clean loss
    the mean cross-entropy: both on the model in the mode (train or eval) that it is in. Exact with
    the engines `forward`, `forward_accumulation` and `double_backward`. Neither model nor objective
    changes, nor their `.grad`, nor BatchNorm's statistics, nor the state of random generators.

    Args:
        model: x [B, ...] -> logits [B, K].
        objective: has been given the batch by `before_step`, where it has fresh weights (L2RW).
        batch: training examples (`make_batch`).
        clean: examples with clean labels; only its x and y count.
        lr: length of the look-ahead: the optimizer's present learning rate.
        engine: `forward` needs forward-mode rules of all operators in the model (not of the
            objective); `finite_difference` does not; `double_backward` is the slow reference. The
            implicit ones take no look-ahead (docs/hypergradients.md).

    Returns:
        One tensor for each of `objective.meta_parameters()`, of its shape. `objective.meta_step`
        takes them.

    Raises:
        ValueError: the objective has no meta-parameters.
    """
    if not objective.meta_parameters():
        raise ValueError(f"{type(objective).__name__} has no meta-parameters: it learns nothing")
    network = Network(model, objective.needs_features, channels_last=False)
    network.step_key = batch.key
    learner = MetaLearner(objective, network, Meta(engine=engine))
    try:
        with same_random_state(network.device):
            return learner.gradients(batch, (clean.x, clean.y), lr)
    finally:
        network.close()

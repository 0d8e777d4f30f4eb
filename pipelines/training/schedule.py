"""Learning rates as a pure function of the position in a phase."""

import math

from pipelines.study.protocol import Schedule


def learning_rate(schedule: Schedule, step: int, steps: int, steps_per_epoch: int) -> float:
    """The rate of step 0 <= step < steps of a phase.

    Linear warm-up, then constant, cosine or linear to 0, or steps. Of `hypergradient` this is where
    the rate begins (`adaptive_rate`). A cosine may begin anew (Loshchilov & Hutter 2017).
    """
    warmup = schedule.warmup_epochs * steps_per_epoch
    if step < warmup:
        return schedule.lr * (step + 1) / (warmup + 1)
    share = (step - warmup) / max(1.0, steps - warmup)
    if schedule.restart_epochs:
        period = schedule.restart_epochs * steps_per_epoch
        share = (step - warmup) % period / period
    if schedule.decay == "cosine":
        return schedule.lr * (1 + math.cos(math.pi * share)) / 2
    if schedule.decay == "linear":
        return schedule.lr * (1 - share)
    if schedule.decay == "steps":
        return schedule.lr * schedule.factor ** sum(step >= m * steps for m in schedule.milestones)
    return schedule.lr

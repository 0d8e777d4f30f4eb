"""Trials run here and now, to compare."""

import io

import torch

from pipelines.training.trial import run_trial

NOT_COMPARED = ("cost",)


def run_to_end(spec, state=None):
    """The rows and the result of a trial."""
    events = list(run_trial(spec, state))
    return [e.row for e in events if e.row], events[-1].result


def comparable(result):
    return {name: value for name, value in result.items() if name not in NOT_COMPARED}


def through_a_file(state):
    """A snapshot as the ledger keeps it: nothing but tensors and plain values."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)

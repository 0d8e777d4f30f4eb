"""What methods and models may do in a step that is recorded, and what becomes of one that fails."""

from dataclasses import replace

import pytest
import torch

from methods.losses.cross_entropy import CrossEntropy
from pipelines.training import cuda_graph
from pipelines.training.snapshot import clone
from tests.conftest import in_phase, under
from tests.training.conftest import OPTIONS, PLAIN, run, spec_of


class Shows(CrossEntropy):
    """An attribute that each step makes anew, and somebody reads between steps."""

    def after_step(self, outputs, losses, batch):
        self.level = losses.mean()

    def learned(self):
        return {"level": self.level}


class HoldsFacts(CrossEntropy):
    """Tensors that do not change, buffers that cannot be subtracted, and what is not known yet."""

    def bind(self, facts):
        self.facts = facts
        self.register_buffer("seen", torch.zeros(facts.rows, dtype=torch.bool))
        self.register_buffer("last", torch.full((facts.rows,), torch.nan))

    def forward(self, outputs, batch):
        return super().forward(outputs, batch) / self.facts.counts[batch.y.argmax(1)]

    def after_step(self, outputs, losses, batch):
        self.seen.index_fill_(0, batch.index, True)
        self.last[batch.index] = losses


class Adversarial(CrossEntropy):
    """Leaves gradients in the model's parameters."""

    def before_step(self, batch, model):
        x = batch.x.clone().requires_grad_()
        self(model(x), batch).mean().backward()
        return replace(batch, x=batch.x + 0.01 * x.grad.sign())


class AdversarialToo(Adversarial):
    def before_step(self, batch, model):
        x = batch.x.clone().requires_grad_()
        [logit_grad] = torch.autograd.grad(self(model(x), batch).mean(), x)
        return replace(batch, x=batch.x + 0.01 * logit_grad.sign())


@pytest.mark.parametrize("method", [Shows, HoldsFacts, Adversarial])
def test_what_a_method_may_do_is_replayed(method, recorder):
    spec = spec_of("ce")
    spec = in_phase(spec, method=f"{__name__}:{method.__name__}")
    found, training = run(spec)
    assert training.captured_steps.fallback_reason is None and training.captured_steps.replayed > 5
    assert found == run(spec, fast=PLAIN)[0]


def test_gradients_that_a_method_leaves_are_not_part_of_the_step():
    rows = []
    for method in (Adversarial, AdversarialToo):
        spec = spec_of("ce")
        spec = in_phase(spec, method=f"{__name__}:{method.__name__}")
        rows.append(run(spec)[0])
    assert rows[0] == rows[1]


class WithASpare(torch.nn.Module):
    """Has a parameter that nothing uses."""

    def __init__(self, classes):
        super().__init__()
        self.spare, self.linear = torch.nn.Linear(2, 2), torch.nn.Linear(64, classes)

    def forward(self, x):
        return self.linear(x.flatten(1))


def with_a_spare(input_shape, classes):
    return WithASpare(classes)


def test_a_model_may_have_parameters_that_nothing_uses(recorder):
    spec = spec_of("ce")
    spec = under(spec, {"model": {"name": f"{__name__}:with_a_spare"}})
    found, training = run(spec)
    assert training.captured_steps.replayed > 5 and found == run(spec, fast=PLAIN)[0]


@pytest.mark.parametrize("meta", [{}, *OPTIONS])
def test_a_recording_changes_nothing_that_may_be_gone(meta, recorder):
    """All that it writes and did not make itself is state, which stays."""
    _, training = run(spec_of("mw_net", **meta))
    own = [tensor for tensors in training.state().values() for tensor in tensors]
    crop_offsets = {tensor.untyped_storage().data_ptr() for tensor in own}
    assert recorder.recorded and all(o.written <= crop_offsets for o in recorder.recorded)
    assert all(tensor.grad is None for tensor in own)


def test_a_recording_that_does_something_else_is_not_used(recorder, monkeypatch):
    record = recorder.record
    monkeypatch.setattr(recorder, "record", lambda work: record(work) and (lambda: None))
    spec = spec_of("mw_net")
    expected, _ = run(spec, fast=PLAIN)
    with pytest.warns(UserWarning, match="a replay is off by 100%"):
        found, _ = run(spec)
    assert found == expected


def test_dropout_runs_the_plain_way(recorder):
    spec = spec_of("l2rw")
    spec = under(spec, {"model": {"name": f"{__name__}:with_dropout"}})
    expected, _ = run(spec, fast=PLAIN)
    with pytest.warns(UserWarning, match="draws random numbers"):
        found, _ = run(spec)
    assert found == expected


def with_dropout(input_shape, classes):
    nn = torch.nn
    layers = nn.Flatten(), nn.Linear(64, 16), nn.Dropout(), nn.Linear(16, classes)
    return nn.Sequential(*layers)


def test_attention_without_dropout_is_replayed(recorder):
    spec = spec_of("l2rw")
    spec = under(spec, {"model": {"name": f"{__name__}:Attending"}})
    found, training = run(spec)
    assert training.captured_steps.fallback_reason is None and training.captured_steps.replayed > 5
    assert found == run(spec, fast=PLAIN)[0]


class Attending(torch.nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.embed, self.head = torch.nn.Linear(8, 3 * 16), torch.nn.Linear(16, classes)

    def forward(self, x):
        query, key, value = self.embed(x.flatten(1).view(len(x), 1, 8, 8)).chunk(3, -1)
        attend = torch.nn.functional.scaled_dot_product_attention
        return self.head(attend(query, key, value).mean((1, 2)))


def test_a_recording_that_fails_is_told_and_done_without(recorder, monkeypatch):
    def fail(work):
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(recorder, "record", fail)
    with pytest.warns(UserWarning, match="operation not permitted when stream is capturing"):
        found, training = run(spec_of("mw_net"))
    assert found == run(spec_of("mw_net"), fast=PLAIN)[0]
    assert not training.meta.optimizer.param_groups[0]["capturable"]


def test_a_trial_that_has_no_memory_for_a_recording_goes_on(recorder, monkeypatch):
    def exhausted(work):
        work()
        raise torch.OutOfMemoryError("2 GiB")

    monkeypatch.setattr(recorder, "record", exhausted)
    spec = spec_of("ce")
    spec = in_phase(spec, method=f"{__name__}:Shows")  # what it shows is the step's, too
    spec = under(spec, {"splits.test": 1401})  # four batches of one size: the last is recorded
    with pytest.warns(UserWarning, match="not enough memory for a recording"):
        found, _ = run(spec)
    assert found == run(spec, fast=PLAIN)[0]


@pytest.mark.parametrize("copy", [1, 2])
def test_nor_needs_it_memory_for_the_copies_that_are_compared(copy, recorder, monkeypatch):
    copies = []

    def exhausted(values):
        copies.append(values)
        if len(copies) == copy:
            raise torch.OutOfMemoryError("2 GiB")
        return clone(values)

    monkeypatch.setattr(cuda_graph, "clone", exhausted)
    with pytest.warns(UserWarning, match="not enough memory for a recording"):
        found, _ = run(spec_of("mw_net"))
    assert found == run(spec_of("mw_net"), fast=PLAIN)[0]

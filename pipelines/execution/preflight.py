"""All that is checked before a launch writes anything."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from pipelines.data.loading import load_dataset
from pipelines.data.task import Task, prepare
from pipelines.documents import Json, flat
from pipelines.errors import UserError
from pipelines.execution.worker_config import WorkerConfig
from pipelines.ledger.record import TrialRecord
from pipelines.metrics import PASSES
from pipelines.models.build import build
from pipelines.models.heads import logits_of
from pipelines.planning.common import check_common
from pipelines.planning.specs import data_seed, default_spec
from pipelines.planning.suggestions import check_search
from pipelines.provenance import differing, origin, provenance
from pipelines.study.protocol import Protocol, with_changes
from pipelines.study.study_file import Study
from pipelines.study.training_spec import TrainingSpec
from pipelines.training.passes import passes_of
from pipelines.training.rehearsal import rehearse


def refuse_mixture(finished: Iterable[TrialRecord], worker_config: WorkerConfig) -> None:
    """Finished trials must come from the code, torch and fast paths of this launch to compare.

    Raises:
        UserError: some do not.
    """
    others, changed = 0, set[tuple[str, str, str]]()
    for trial in finished:
        made = trial.result or trial.stopped
        if made is None:
            continue
        protocol = with_changes(worker_config.protocols[""], trial.spec["change"])
        made_by = provenance(TrainingSpec.of(trial.spec, protocol).modules)
        here = origin(made_by | {"without": worker_config.fast.left_out()})
        there = origin(made["provenance"])
        names = differing(there, here)
        others += bool(names)
        changed |= {(name, there[name], here[name]) for name in names}
    if not others:
        return
    differences = [f"{name} {there[:12]} there, {here[:12]} here" for name, there, here in changed]
    raise UserError(
        f"{others} finished trials come from elsewhere: {'; '.join(sorted(differences))}. Results "
        "may not compare: go back to what they were made with, give another --storage, or mix them "
        "with --allow-mixed (the report says so)"
    )


def check(study: Study, device: str = "cpu") -> str:
    """Read the data, make all splits, take a step of every arm: whatever fails, fails now.

    device: of the trials. Returns the fingerprint of the data.
    """
    check_search(study)
    check_common(study)
    fingerprint = load_dataset(study.protocol.data).fingerprint
    for scenario, protocol in study.protocols.items():
        known = fingerprint if protocol.data == study.protocol.data else None
        for repeat in range(study.request.repeats):
            task = prepare(protocol, data_seed(study, repeat, scenario), known)
        _check_model(protocol, task)
        _check_cost(study, task)
    for name, arm in study.arms.items():
        try:
            rehearse(default_spec(study, arm), device)
        except UserError as error:
            raise UserError(f"arm {name!r}: {error}") from None
    return fingerprint


def _check_cost(study: Study, task: Task) -> None:
    """Where cost is an aim, it must differ between configurations of some arm."""
    if study.protocol.second_aim != PASSES:
        return
    for arm in study.arms.values():
        costs = {passes_of(arm, config, study, task) for config in arm.extreme_configs()}
        if len(costs) > 1:
            return
    raise UserError(
        f"second_aim = {PASSES!r}: nothing that is tuned changes what a run costs in passes; "
        "name a metric, or have an arm that tunes its cost: maxup, or an own one, by meta.every"
    )


def _check_model(protocol: Protocol, task: Task) -> None:
    model = build(protocol.model, task.input_shape, len(task.classes)).eval()
    example = task.normalise(task.meta.x[:2])
    try:
        with torch.no_grad():
            shape = tuple(logits_of(model(example)).shape)
    except UserError as error:
        raise UserError(f"model {protocol.model.name!r}: {error}") from None
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"model {protocol.model.name!r} fails on input {tuple(example.shape)}: {reason}"
        ) from None
    expected = (len(example), len(task.classes))
    if shape != expected:
        raise UserError(f"model {protocol.model.name!r} gives {shape}, expected {expected}")


def modules_of(study: Study) -> set[str]:
    """All modules that it may name: of methods, models, sources, augmentations and samplers."""
    phases = {
        name: [arm.resolve(config) for config in arm.extreme_configs()]
        for name, arm in study.arms.items()
    }
    module, own, _ = study.protocol.search.partition(":")
    return {module for _ in own} | {
        module
        for protocol in study.protocols.values()
        for variants in phases.values()
        for variant in variants
        for module in TrainingSpec(protocol, tuple(variant), data_seed=0, run_seed=0).modules
    }


def choose_device(requested: str, address: str | None = None) -> str:
    """cpu or cuda. A cluster at `address` has GPUs if the user says so: a driver need not have any.

    Raises:
        UserError: CUDA was asked for here and is not there.
    """
    if requested == "cuda" and address:
        return "cuda"
    if requested == "cuda" and not torch.cuda.is_available():
        raise UserError("device 'cuda' is not available here; use --device cpu or auto")
    return "cuda" if requested != "cpu" and torch.cuda.is_available() else "cpu"


def refuse_other_protocol(storage: str, there: Json | None, here: Json) -> None:
    """A study directory has one protocol, and one data set.

    there, here: the document of the study in the storage, if there is one, and of this launch.

    Raises:
        UserError: they differ in protocol, or in the content of the data.
    """
    if there is None or there["hash"] == here["hash"]:
        return
    before, now = flat(there["protocol"]), flat(here["protocol"])
    changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    differences = [f"{n} is {before.get(n)!r} there, {now.get(n)!r} here" for n in changed]
    if there["fingerprint"] != here["fingerprint"]:
        differences.append("the content of the data differs")
    raise UserError(
        f"storage {storage!r} holds a study under another protocol ({'; '.join(differences)}): "
        "give another --storage"
    )

"""The set-up of a study in words, for people who want to know or to write what was done."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pipelines.analysis.record import Range
from pipelines.analysis.results_schema import Results
from pipelines.analysis.words import count, listed, search_name
from pipelines.ledger.ledger import Ledger
from pipelines.metrics import METRICS
from pipelines.report.label_noise import noise_words
from pipelines.report.study_state import StudyState
from pipelines.study.augmentations import AUGMENTATIONS, augmentations_of
from pipelines.study.protocol import Protocol, Schedule
from pipelines.study.request import Request
from pipelines.trial_documents import MODEL, DataDescription

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # of batch norm: not learned
LISTED_CLASSES = 12  # of more, only the number


@dataclass(frozen=True)
class SetUp:
    """What a study was made of; each text is whole without the others.

    spaces: by tuned arm. hardware: by name the number of trials on it.
    """

    data: str
    splits: str
    noise: str
    imbalance: str
    model: str
    schedule: str
    augmentation: str
    attack: str
    spaces: dict[str, str]
    search: str
    scoring: str
    hardware: str
    time: str

    @property
    def lines(self) -> list[tuple[str, str]]:
        """What is shown, with its name."""
        named = [
            ("data", self.data),
            ("splits", self.splits),
            ("label noise", self.noise),
            ("imbalance", self.imbalance),
            ("model", self.model),
            ("schedule", self.schedule),
            ("augmentation", self.augmentation),
            ("attack", self.attack),
            ("search", self.search),
            *((f"space of {arm}", space) for arm, space in self.spaces.items()),
            ("score", self.scoring),
            ("hardware", self.hardware),
            ("time", self.time),
        ]
        return [(name, text) for name, text in named if text]


def set_up(ledger: Ledger, study_state: StudyState, results: Results) -> SetUp:
    """The set-up of a study, as far as it is known before and after its trials have run."""
    study = study_state.study
    protocol, described = study.protocol, study_state.described
    return SetUp(
        data=_data(protocol, described),
        splits=_splits(protocol, described),
        noise=_noise(protocol, results),
        imbalance=_imbalance(protocol, described),
        model=_model(protocol, _parameters(ledger, study_state)),
        schedule=schedule_text(protocol.schedule),
        augmentation=_augmentation(protocol),
        attack=_attack(protocol),
        spaces={
            name: ", ".join(f"{knob} {range_text(r)}" for knob, r in arm["space"].items())
            for name, arm in results["arms"].items()
            if arm["space"]
        },
        search=_search(study_state, results),
        scoring=_scoring(protocol, described, results),
        hardware=_hardware(results),
        time=_time(results),
    )


def _data(protocol: Protocol, described: DataDescription | None) -> str:
    source = protocol.data.source
    if described is None:
        return source
    classes, examples = described["classes"], described["examples"]
    names = f": {', '.join(classes)}" if len(classes) <= LISTED_CLASSES else ""
    left_out = described.get("left_out")
    broken = f"; {left_out:,} broken ones left out" if left_out else ""
    return f"{source}, {examples:,} examples of {len(classes)} classes{names}{broken}"


def _splits(protocol: Protocol, described: DataDescription | None) -> str:
    val = "" if protocol.splits.val_labels == "clean" else ", whose labels are corrupted, too"
    if described is None:
        hidden = f", {protocol.splits.unlabelled:,} unlabelled" * bool(protocol.splits.unlabelled)
        selecting = f"{protocol.splits.val:,} val" if protocol.splits.val else "no val"
        return f"{protocol.splits.meta:,} meta and {selecting} examples{val}{hidden}"
    sizes = described["sizes"]
    selecting = f"{sizes['val']:,} val{val or ' (clean)'}" if sizes["val"] else "no val"
    hidden = f", {sizes['unlabelled']:,} unlabelled" if "unlabelled" in sizes else ""
    return (
        f"{sizes['train']:,} train (labels as they come){hidden}, {sizes['meta']:,} meta (clean), "
        f"{selecting}, {sizes['test']:,} test"
    )


def _noise(protocol: Protocol, results: Results) -> str:
    noise = protocol.noise
    own = [n for n in results["provenance"].get("noise", []) if not n["scenario"]]
    rates = [n["measured"]["train"] for n in own if n["measured"]["train"] is not None]
    measured = f"{span(rates, '.1%')} of the training labels are wrong" if rates else ""
    estimated = noise_words(results)
    if "verified" in results.get("label_noise", {}):
        measured = ""  # at most on the few verified examples that are trained on
    if noise.kind == "none":
        known = [*([measured] if measured else []), *estimated]
        return "; ".join(["none added", *(known or ["what is wrong is not known"])])
    nominal = f"{noise.kind}, nominal rate {noise.rate:.0%}"
    return "; ".join([nominal, *([f"{measured}, as measured"] if measured else []), *estimated])


def _imbalance(protocol: Protocol, described: DataDescription | None) -> str:
    asked = ""
    if protocol.imbalance.kind != "none":
        asked = f"{protocol.imbalance.kind}, factor {protocol.imbalance.factor:g}; "
    if described is None:
        return asked.removesuffix("; ")
    counts = described["counts"]["train"]
    return f"{asked}{min(counts):,} to {max(counts):,} training labels per class"


def _model(protocol: Protocol, parameters: int | None) -> str:
    model = protocol.model
    options = ", ".join(f"{name} {value}" for name, value in model.options.items())
    size = "" if parameters is None else f", {parameters:,} parameters"
    precision = "" if protocol.precision == "float32" else f", {protocol.precision}"
    return f"{model.name}{f' ({options})' if options else ''}{size}{precision}"


def _augmentation(protocol: Protocol) -> str:
    names = augmentations_of(protocol.augment)
    return ", then ".join(AUGMENTATIONS.get(name, name) for name in names) or "none"


def _parameters(ledger: Ledger, study_state: StudyState) -> int | None:
    """Numbers in a final run's saved network; None if there is none whole."""
    import torch  # seconds, which `status` does without

    for record in study_state.records:
        trial = study_state.trials[record.key]
        if record.role == "final" and trial.result is not None:
            saved = ledger.artifact(trial, MODEL)
            if saved is not None:
                weights = torch.load(io.BytesIO(saved), weights_only=True)["weights"]
                return sum(w.numel() for name, w in weights.items() if not name.endswith(BUFFERS))
    return None


def schedule_text(schedule: Schedule) -> str:
    """Optimizer, learning rate and length in words."""
    decay = schedule.decay
    if decay == "steps":
        ends = ", ".join(f"{m:.0%}" for m in schedule.milestones)
        decay = f"times {schedule.factor:g} at {ends} of a phase"
    if schedule.restart_epochs:
        decay = f"cosine, anew every {schedule.restart_epochs:g} epochs"
    warmup = f", {schedule.warmup_epochs:g} epochs of warm-up" if schedule.warmup_epochs else ""
    weights = f"weight decay {schedule.weight_decay:g}"
    weights += " (not of norms and biases)" if schedule.no_decay == "norm_and_bias" else ""
    clip = f", gradients clipped at norm {schedule.clip:g}" if schedule.clip else ""
    length = f"{schedule.epochs:,} epoch{'' if schedule.epochs == 1 else 's'}"
    if schedule.steps is not None:
        length = f"{schedule.steps:,} steps"
    return (
        f"{length} in batches of {schedule.batch_size:,}, {_optimizer(schedule)}, learning rate "
        f"{schedule.lr:g} ({decay}{warmup}), {weights}{clip}"
    )


def _optimizer(schedule: Schedule) -> str:
    if schedule.optimizer == "sgd":
        nesterov = "Nesterov " if schedule.nesterov else ""
        return f"SGD with {nesterov}momentum {schedule.momentum:g}"
    if schedule.optimizer == "adamw":
        first, second = schedule.betas
        return f"AdamW with betas {first:g} and {second:g}, eps {schedule.eps:g}"
    options = ", ".join(f"{name} {value}" for name, value in schedule.optimizer_options.items())
    return f"{schedule.optimizer}{f' with {options}' if options else ''}"


def range_text(values: Range) -> str:
    """A range of a search space in words."""
    if "choices" in values:
        return f"of {{{', '.join(map(str, values['choices']))}}}"
    traits = [word for trait, word in (("log", "log"), ("int", "whole")) if values.get(trait)]
    drawn = f" ({', '.join(traits)})" if traits else ""
    return f"in [{values['low']:g}, {values['high']:g}]{drawn}"


def _search(study_state: StudyState, results: Results) -> str:
    request = study_state.study.request
    trials, repeats = count(request.trials, "trial"), count(request.repeats, "repeat")
    common = _common(request)
    if not any(arm["tuned"] for arm in results["arms"].values()):
        return (
            f"{common}none, no arm is tuned; {count(request.seeds, 'run seed')} in each of "
            f"{repeats} with its own splits and noise"
        )
    stopped: dict[str, list[str]] = defaultdict(list)
    for name, arm in results["arms"].items():
        if "stopping" in arm:
            rule = f"; stopped early by {arm['stopping']['rule']} of the epochs: "
            stopped[rule].append(name)
    given = [
        f"{name} {arm['warm_start']}"
        for name, arm in results["arms"].items()
        if "warm_start" in arm
    ]
    return (
        f"{common}{search_name(results['selection'])}, the published default and {trials} per "
        f"tuned arm, in each of {repeats} with its own splits, noise and search; the best on val "
        f"retrained with {count(request.seeds, 'fresh seed')}"
        + "".join(rule + ", ".join(arms) for rule, arms in stopped.items())
        + (f"; first come configurations{_origin(request)}: {', '.join(given)}" if given else "")
    )


def _origin(request: Request) -> str:
    """Where the configurations are from that searches begin with; no paths, which are private."""
    names = [PurePath(source).name for source in request.warm_start.sources]
    return f" from {listed(names)}" if names else " of the study file"


def _common(request: Request) -> str:
    if not request.common:
        return ""
    trials = count(request.common_trials, "trial")
    knobs = listed(list(request.common))
    return f"{knobs} of every arm, on val, of the study's own and {trials} of its default; then "


def _scoring(protocol: Protocol, described: DataDescription | None, results: Results) -> str:
    test = described["sizes"]["test"] if described else protocol.splits.test
    examples = f" on {test:,} test examples" if test else " on the test set"
    margin = METRICS[protocol.metric].scale * results["margin"]
    return (
        f"{METRICS[protocol.metric].title}{examples}, {protocol.epoch} epoch; margin of "
        f"non-inferiority {margin:g}"
    )


def _attack(protocol: Protocol) -> str:
    attack = protocol.attack
    if attack is None:
        return ""
    ball = {"linf": "l-infinity", "l2": "l2"}[attack.norm]
    start = {"random": "a random start in it", "zero": "the input"}[attack.start]
    return (
        f"projected gradient ascent in the {ball} ball of radius {attack.epsilon:g}, "
        f"{count(attack.steps, 'step')} of {attack.stride:g} from {start}, model in eval mode"
    )


def _hardware(results: Results) -> str:
    processors = results["provenance"].get("processor", {})
    return "; ".join(f"{name or 'unknown'} ({count(n, 'trial')})" for name, n in processors.items())


def _time(results: Results) -> str:
    total = results["cost"]["total"]
    return f"{duration(total)} in all, if one trial ran after another" if total else ""


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"


def span(values: Iterable[Any], form: str) -> str:
    """From the smallest to the largest, or the one that all are."""
    known = sorted(values)
    return " to ".join(dict.fromkeys(f"{value:{form}}" for value in (known[0], known[-1])))

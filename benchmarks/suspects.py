"""Suspect labels, side by side with cleanlab's confident learning: `python -m benchmarks.suspects`.

Both rank the same training examples with the same given labels, with networks of one architecture
and one schedule. cleanlab ranks by its own scores, with and without the adjustment by confident
learning's class thresholds, from probabilities that are out of sample: 5-fold cross-validation of
cross-entropy training, as its documentation asks for; once with the noisy labels alone, once with
the study's clean labels (meta and val) added to every fold's training set. Ours: `run_sweep.py
suspects`, by the study's arms. Not equal: the number of trainings, which the rows tell.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from sklearn.model_selection import StratifiedKFold
from torch.nn import functional as F

from methods.objective import generator
from pipelines.analysis.intervals import Estimate, estimate
from pipelines.commands.launch import Options, launch
from pipelines.data.loading import load_dataset
from pipelines.data.task import Split, Task, prepare
from pipelines.models.build import build
from pipelines.planning.specs import data_seed
from pipelines.report.study_state import load_study_state
from pipelines.study.labels_files import LabelsFile
from pipelines.study.protocol import Data, Protocol
from pipelines.study.study_file import Study, parse_study
from pipelines.suspects.contact_sheet import evidence
from pipelines.suspects.ranking import find_suspects
from pipelines.suspects.scores import ranking_quality
from pipelines.training.schedule import learning_rate

FOLDS = 5
IMAGES, LABELS = "UNTUNED_CIFAR10_JPEG", "UNTUNED_CIFAR10N"  # variables that `cifar10n` reads
SUBSET = 3000  # of JPEG CIFAR-10's 50,000 training images
ARMS = ["ce", "gce", "gce_plus_meta", "clean_only", "finetune", "l2rw"]
DIGITS = {
    "data": {"source": "digits"},
    "noise": {"kind": "flip", "rate": 0.4},
    "splits": {"meta": 100, "val": 100, "test": 500},
    "model": {"name": "mlp", "options": {"hidden": [256]}},
    "schedule": {"epochs": 60, "lr": 0.05},
}
CIFAR10N = {
    "data": {"source": "benchmarks.suspects:cifar10n"},
    "splits": {"meta": 200, "val": 200, "test": 100},
    "model": {"name": "cnn", "options": {"width": 16}},
    "schedule": {"epochs": 10, "lr": 0.05},
}
RANKINGS = (("normalized_margin", False), ("self_confidence", False), ("self_confidence", True))
STUDIES = {"digits": (DIGITS, 2), "cifar10n_worst": (CIFAR10N, 1)}  # protocol, run seeds
Rows = list[dict[str, Any]]
Runs = dict[tuple[int, int], float]


def cifar10n() -> dict[str, Any]:
    """A source: the first training images of each class of JPEG CIFAR-10, under noisy labels.

    These are CIFAR-10N's `worst`.
    """
    labels = LabelsFile(file=Path(os.environ[LABELS]), path="path", label="worst")
    data = Data(source="image_folder", path=Path(os.environ[IMAGES]), labels=labels)
    dataset = load_dataset(data)
    assert dataset.test is not None
    train = np.flatnonzero(~dataset.test)
    of_class = [train[dataset.truth[train] == k] for k in range(len(dataset.classes))]
    rows = np.sort(np.concatenate([r[: SUBSET // len(of_class)] for r in of_class]))
    return {
        "x": dataset.x[rows],
        "y": dataset.observed[rows],
        "truth": dataset.truth[rows],
        "classes": dataset.classes,
        "names": [dataset.names[row] for row in rows],
    }


def study_of(name: str, repeats: int) -> Study:
    """The study whose final models judge; no search, published defaults."""
    protocol, seeds = STUDIES[name]
    request = {"arms": ARMS, "trials": 0, "repeats": repeats, "seeds": seeds, "curve": False}
    return parse_study({"name": name, "protocol": protocol, "request": request}, name)


def cross_validated(task: Task, protocol: Protocol, clean: bool) -> NDArray[np.float64]:
    """Probabilities [n, K] of the training split, each from a network that was not trained on it.

    clean: the networks are trained on the clean examples of meta and val too.
    """
    labels = task.train.y.numpy()
    probabilities = np.zeros((len(labels), len(task.classes)))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for number, (inside, outside) in enumerate(folds.split(labels, labels)):
        parts = [(task.train, inside)]
        if clean:
            parts += [(split, np.arange(len(split))) for split in (task.meta, task.val)]
        network = fit(task, protocol, parts, number)
        with torch.inference_mode():
            batches = task.train.x[torch.from_numpy(outside)].split(1000)
            logits = torch.cat([network(task.normalise(x)) for x in batches])
        probabilities[outside] = logits.double().softmax(dim=1)
    return probabilities


def fit(
    task: Task, protocol: Protocol, parts: list[tuple[Split, NDArray[np.int64]]], seed: int
) -> torch.nn.Module:
    """Cross-entropy training on parts of splits, by the study's schedule.

    parts: splits and the rows of them to train on.
    seed: of initialisation and order.
    """
    x = torch.cat([split.x[torch.from_numpy(rows)] for split, rows in parts])
    y = torch.cat([split.y[rows] for split, rows in parts])
    torch.manual_seed(seed)
    network = build(protocol.model, task.input_shape, len(task.classes)).train()
    schedule = protocol.schedule
    optimizer = torch.optim.SGD(
        network.parameters(), momentum=schedule.momentum, weight_decay=schedule.weight_decay
    )
    for step, of, rows in _steps(len(x), protocol, seed):
        optimizer.param_groups[0]["lr"] = learning_rate(schedule, step, of, of // schedule.epochs)
        optimizer.zero_grad()
        F.cross_entropy(network(task.normalise(x[rows])), y[rows]).backward()
        optimizer.step()
    return network.eval()


def _steps(n: int, protocol: Protocol, seed: int) -> Iterator[tuple[int, int, torch.Tensor]]:
    per_epoch = -(-n // protocol.schedule.batch_size)
    for epoch in range(protocol.schedule.epochs):
        order = torch.randperm(n, generator=generator(seed, "order", epoch))
        for i, rows in enumerate(order.tensor_split(per_epoch)):
            yield epoch * per_epoch + i, per_epoch * protocol.schedule.epochs, rows


def cleanlab_rows(study: Study) -> Rows:
    """Quality of cleanlab's rankings, with and without the clean labels."""
    from cleanlab.rank import (  # pyright: ignore[reportMissingImports]
        get_label_quality_scores,
    )

    splits, rows = study.protocol.splits, []
    for clean in (False, True):
        runs: dict[tuple[str, bool], dict[str, Runs]] = defaultdict(lambda: defaultdict(dict))
        for repeat in range(study.request.repeats):
            task = prepare(study.protocol, data_seed(study, repeat))
            probabilities = cross_validated(task, study.protocol, clean)
            labels, wrong = task.train.y.numpy(), (task.train.truth != task.train.y).numpy()
            for method, adjusted in RANKINGS:
                quality = get_label_quality_scores(
                    labels, probabilities, method=method, adjust_pred_probs=adjusted
                )
                for name, value in ranking_quality(-quality, wrong).items():
                    runs[method, adjusted][name][repeat, 0] = value
        for (method, adjusted), values in runs.items():
            estimates = {name: estimate(value) for name, value in values.items()}
            ranking, used = method + ", adjusted" * adjusted, (splits.meta + splits.val) * clean
            rows.append(_row("cleanlab", ranking, used, FOLDS, estimates))
    return rows


def our_rows(study: Study, storage: str, console: Console) -> Rows:
    """Quality of our ranking, by each arm of the study."""
    launch(study, Options(storage, "inline", "disabled"), console)
    ledger, study_state = load_study_state(storage)
    rows = []
    for arm in study.arms:
        suspects = find_suspects(ledger, study_state, arm)
        console.print(f"{arm}: {evidence(suspects)}")
        record = next(r for r in study_state.records if r.arm == arm and r.role == "final")
        used = record.clean_train
        rows.append(_row("untuned", arm, used, study.request.seeds, suspects.quality or {}))
    chosen = find_suspects(ledger, study_state).arm
    return [row | {"chosen_by_val": row["ranking"] == chosen} for row in rows]


def _row(
    tool: str, ranking: str, clean: int, trainings: int, quality: dict[str, Estimate]
) -> dict[str, Any]:
    """How good one ranking is.

    clean: number of clean labels that its networks were trained on.
    trainings: of networks, per repeat.
    """
    shown = {
        name: {"mean": e.mean, "low": e.low, "high": e.high, "n": e.repeats}
        for name, e in quality.items()
    }
    return {
        "tool": tool,
        "ranking": ranking,
        "clean_labels_trained_on": clean,
        "trainings_per_repeat": trainings,
        **shown,
    }


def main(
    images: Annotated[
        Path | None, typer.Option(help="folder of JPEG CIFAR-10; default: digits only")
    ] = None,
    labels: Annotated[Path, typer.Option(help="CIFAR-10N's labels")] = Path(
        "../shared/data/cifar10n-labels.csv"
    ),
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the rows here")] = None,
) -> None:
    """AUROC and precision at k of both rankings, with 95 % intervals over repeats."""
    if images:
        os.environ[IMAGES], os.environ[LABELS] = str(images.resolve()), str(labels.resolve())
    console, rows = Console(stderr=True), []
    for name in list(STUDIES)[: 1 + bool(images)]:
        study = study_of(name, repeats)
        with TemporaryDirectory() as folder:
            study_rows = our_rows(study, f"{folder}/runs", console)
        try:
            study_rows += cleanlab_rows(study)
        except ImportError:
            console.print("cleanlab is not installed: skipped (pip install cleanlab)")
        size = len(prepare(study.protocol, data_seed(study, 0)).train)
        rows += [{"data": name, "examples": size} | row for row in study_rows]
    for row in rows:
        scores = "  ".join(
            f"{name} {row[name]['mean']:.3f} [{row[name]['low']:.3f}, {row[name]['high']:.3f}]"
            for name in ("auroc", "precision_at_all", "precision_at_100")
        )
        print(
            f"{row['data']:15} n = {row['examples']}  {row['tool']:8} {row['ranking']:25} "
            f"clean labels {row['clean_labels_trained_on']:4}  {scores}"
        )
    if json_file:
        json_file.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)

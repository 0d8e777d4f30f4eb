"""What the final models of an arm say of the examples that they were trained on."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pipelines.analysis.record import Record
from pipelines.data.task import Split, prepare
from pipelines.errors import UserError
from pipelines.ledger.ledger import Ledger
from pipelines.models.classifier import Classifier, load_model
from pipelines.report.study_state import StudyState
from pipelines.suspects.scores import Floats
from pipelines.trial_documents import EXAMPLES, MODEL

BATCH = 1024


@dataclass(frozen=True)
class RepeatPredictions:
    """The training split of one repeat, n examples, as the models of its run seeds see it.

    probabilities: [n, K], the mean over models.
    weights: [n], the mean over models of an example's weight on the gradient when it was last
        observed, relative to the mean weight; nan where no model was trained on it.
    """

    split: Split
    probabilities: Floats
    weights: Floats


def predict_repeats(
    ledger: Ledger, study_state: StudyState, finals: Sequence[Record]
) -> list[RepeatPredictions]:
    """The predictions of completed final runs, on average over the run seeds of each repeat.

    Raises:
        UserError: the model of a run is missing.
    """
    runs_of: dict[int, list[Record]] = defaultdict(list)
    for record in finals:
        runs_of[record.repeat].append(record)
    return [_predict_repeat(ledger, study_state, runs) for _, runs in sorted(runs_of.items())]


def _predict_repeat(
    ledger: Ledger, study_state: StudyState, runs: Sequence[Record]
) -> RepeatPredictions:
    # One data seed and one split per repeat, whatever the run seed.
    train = prepare(study_state.study.protocol, runs[0].data_seed).train
    total: Any = 0.0  # one of each run at a time: of a million examples one is 80 MB
    weights = []
    for record in runs:
        trial = study_state.trials[record.key]
        model, examples = (ledger.artifact(trial, name) for name in (MODEL, EXAMPLES))
        if model is None or examples is None:
            raise UserError(
                f"trial {record.key!r}: {MODEL} or {EXAMPLES} is missing or damaged: `prune "
                "--models` keeps those of each arm's best trial alone, `launch --retry damaged` "
                "restores damaged ones"
            )
        total += _predict(load_model(io.BytesIO(model)), train)
        weight = torch.load(io.BytesIO(examples), weights_only=True)["weight"].double()
        weights.append(weight / weight.nanmean())
    mean_weight = torch.stack(weights).nanmean(dim=0).numpy()
    return RepeatPredictions(train, total / len(runs), mean_weight)


@torch.inference_mode()
def _predict(model: Classifier, split: Split) -> Floats:
    """Probabilities [n, K] of a split's examples, on a GPU if there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device)
    batches = (model(x.to(device)).double().softmax(dim=1).cpu() for x in split.x.split(BATCH))
    return torch.cat(list(batches)).numpy()

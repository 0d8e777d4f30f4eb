"""Trained models and learned objectives, from a file or a trial's directory."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from methods.objective import Objective
from pipelines.errors import UserError
from pipelines.models import classifier
from pipelines.prediction.predictor import Predictor, load_predictor
from pipelines.trial_documents import MODEL

Source = str | Path | BinaryIO


def load_model(source: Source) -> Predictor:
    """The trained model of a trial, in eval mode on the CPU.

    `predict` takes images (files, Pillow's, arrays of bytes) or a DataFrame as they are, and gives
    names of classes; `probabilities` their probabilities. As a torch module it maps stored values
    x [B, ...] to logits [B, K], which `classes` names: features after the conversion of a table,
    and of images the bytes from 0 to 255 [B, C, H, W], as integers or as floats on the same scale,
    never divided by 255 or normalised, which is refused.

    Args:
        source: the file, an open one, or a trial's directory.

    Raises:
        UserError: there is no model.
    """
    return load_predictor(_model_file(source))


def load_objective(source: Source) -> Objective:
    """The objective of a trial's last phase as it was when training ended, on the CPU.

    With what it has learned: Meta-Weight-Net's network, the q of a GCE that learns itself. Where
    the study's epoch rule is `selected`, it is that of the selected epoch, as the model is.

    Args:
        source: the file, an open one, or a trial's directory.

    Raises:
        UserError: there is no model, or the file was written before objectives were saved.
    """
    return classifier.load_objective(_model_file(source))


def _model_file(source: Source) -> Path | BinaryIO:
    if not isinstance(source, str | Path):
        return source
    path = Path(source)
    if path.is_file():
        return path
    attempts = sorted(path.glob(f"attempts/*/{MODEL}"), key=lambda file: int(file.parent.name))
    if not attempts:
        raise UserError(
            f"{str(source)!r}: no {MODEL} is there; models are kept of completed final and default "
            "trials: `untuned best DIR` names one"
        )
    return attempts[-1]

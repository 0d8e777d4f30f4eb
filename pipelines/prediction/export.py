"""A trained model for programs that have no untuned: ONNX, or PyTorch's own exported program.

Both map stored values x [n, ...] (an image's bytes, features after conversion), as many as there
are, to class probabilities [n, K], as the trial computed them; `classes` names them.
"""

from __future__ import annotations

import importlib
import json
import warnings
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pipelines.errors import UserError, one_line
from pipelines.models.network import Network
from pipelines.prediction.predictor import Predictor

ENDINGS = (".onnx", ".pt2")
EXAMPLES = 2  # torch takes a single one for a constant


def export(model: Predictor, file: str | Path) -> None:
    """Write a model as ONNX (`.onnx`) or as an exported program of PyTorch's (`.pt2`).

    Names of classes are the metadata `classes` of the first, and the extra file `classes.json` of
    the second, as a JSON list.

    Raises:
        UserError: another ending, a model that is no network, a package that is missing, an
            operator that cannot be exported, or a place that cannot be written to.
    """
    path = Path(file)
    if path.suffix not in ENDINGS:
        raise UserError(f"--export {str(file)!r}: must end in {' or '.join(ENDINGS)}")
    if path.suffix == ".onnx" and not all(map(_is_installed, ("onnx", "onnxscript"))):
        raise UserError("--export to .onnx needs onnx and onnxscript: pip install 'untuned[onnx]'")
    classes = json.dumps(model.classes)
    try:
        program = _program(model)
        if path.suffix == ".onnx":
            _write_onnx(program, path, classes)
        else:
            torch.export.save(program, path, extra_files={"classes.json": classes})
    except OSError as error:
        raise UserError(f"{str(file)!r}: cannot be written: {one_line(error)}") from None


def _is_installed(package: str) -> bool:
    with suppress(ImportError):
        importlib.import_module(package)
        return True
    return False


class _Probabilities(nn.Module):
    """Stored values [n, ...] -> class probabilities [n, K]."""

    def __init__(self, model: Predictor) -> None:
        super().__init__()
        self.model, self.objective = model, model.objective

    def forward(self, x: Tensor) -> Tensor:
        network = Network(self.model.network, channels_last=False)
        return self.objective.predict(network(self.model.normalise(x)))


def _program(model: Predictor) -> ExportedProgram:
    shape = (EXAMPLES, *model.input_shape)
    dtype = torch.uint8 if len(model.input_shape) == 3 else torch.float32
    try:
        with torch.no_grad():
            return torch.export.export(
                _Probabilities(model).eval(),
                (torch.zeros(shape, dtype=dtype),),
                dynamic_shapes={"x": {0: Dim("n", min=1)}},
            )
    except Exception as error:  # whatever a model of one's own may do that has no graph
        raise UserError(f"--export: the model has no graph: {one_line(error)}") from None


def _write_onnx(program: ExportedProgram, path: Path, classes: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, of versions of Python and of operators
        onnx = torch.onnx.export(
            program, input_names=["x"], output_names=["probabilities"], verbose=False
        )
    assert onnx is not None
    onnx.model.metadata_props["classes"] = classes
    onnx.save(path)
